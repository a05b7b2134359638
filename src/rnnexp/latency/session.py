"""One measurement: load the finished runs, time them in turns, write inference.json into each, and show a table."""

import gc
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table

from rnnexp.benchmark.measurement import silenced_lightning
from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import write_json
from rnnexp.core.printable import printable
from rnnexp.core.progress import Progress
from rnnexp.core.user_code import describe_user_code
from rnnexp.latency.machine import MachineUse, idleness
from rnnexp.latency.options import Options
from rnnexp.latency.rounds import Round, measure_in_turns, peak_memory, summarize_rounds
from rnnexp.latency.subject import Loaded, Subject, load_subject
from rnnexp.report.records.runs import find_runs
from rnnexp.runs.evaluation import choose_device
from rnnexp.runs.frozen.config import UntrustedError
from rnnexp.tasks.inference_record import INFERENCE_VERSION, Conditions
from rnnexp.tracking.environment import describe_environment, processor_name
from rnnexp.tracking.identity import config_hash
from rnnexp.tracking.keys import value_at
from rnnexp.tracking.summary import plain

MOST_COLUMNS = 10_000
COLUMNS = {
    "latency\np50, ms": ("latency.p50_ms", 1.0),
    "latency\np99, ms": ("latency.p99_ms", 1.0),
    "step\np50, ms": ("step_latency.p50_ms", 1.0),
    "step\np99, ms": ("step_latency.p99_ms", 1.0),
    "beam 5\np50, ms": ("beam5_latency.p50_ms", 1.0),
    "beam 5\np99, ms": ("beam5_latency.p99_ms", 1.0),
    "batch 128\n1/s": ("throughput.batch_128", 1.0),
    "words\n1/s": ("words_per_second", 1.0),
    "weights\nMB": ("weight_bytes", 1e6),
    "memory\nMiB": ("peak_memory_bytes.batch_1", 2**20),
}
"""Title -> path in the record, and the shown unit in the recorded one."""


def measure_runs(options: Options) -> int:
    """Measure all finished runs below the directories, and return the number of runs that were refused.

    A run that cannot be measured is named on standard error with the reason, and the others are measured.

    Raises:
        UserError: if no run can be measured.
    """
    device = choose_device(options.accelerator)
    loaded, refused = _load(options, device)
    # A run that was refused after it had set the threads of its config may be the last one.
    torch.set_num_threads(options.num_threads)
    sessions = _measure(loaded, device, options)
    num_written = sum(
        _is_written(each.run.run.inference_file, record) for each, record in zip(loaded, sessions, strict=True)
    )
    # Lines of a pipe have no width.
    Console(width=None if sys.stdout.isatty() else MOST_COLUMNS).print(_table(loaded, sessions))
    if line := idleness(sessions[0]["machine_use"]):
        print(f"rnnexp: {line}", file=sys.stderr)
    where = "each" if num_written == len(loaded) else f"{num_written} of them"
    print(f"measured {len(loaded)} run{'' if len(loaded) == 1 else 's'}; the numbers are in inference.json of {where}")
    return refused + len(loaded) - num_written


def _load(options: Options, device: torch.device) -> tuple[list[Loaded], int]:
    loaded, errors = [], []
    for run in find_runs(options.directories):
        try:
            with silenced_lightning():
                loaded.append(load_subject(run.path, device, options))
        except UntrustedError as error:
            errors.append(error.message + " ".join(f"--trust {module}" for module in error.modules))
        except UserError as error:
            errors.append(str(error))
        except Exception as error:
            if (line := describe_user_code(error)) is None:
                raise
            errors.append(f"{run.path}: {line}")
    if not loaded:
        rest = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise UserError(f"no run can be measured: {errors[0]}{rest}")
    errors += [line for each in loaded for line in each.refused]
    for error_line in errors:
        print(f"rnnexp: not measured: {printable(error_line)}", file=sys.stderr)
    return loaded, len(errors)


def _measure(loaded: Sequence[Loaded], device: torch.device, options: Options) -> list[dict[str, Any]]:
    """Time the runs and their exports in turns, and return the record of each run."""
    subjects = [subject for each in loaded for subject in (each.run, *each.exports)]
    for each in loaded:
        each.run.warm_up()
    memory = [peak_memory(each.run) for each in loaded]
    computation = [each.run.describe_computation() for each in loaded]
    name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    environment = describe_environment({"type": device.type, "name": name, "num_threads": torch.get_num_threads()})
    use, started = MachineUse(), datetime.now(UTC)
    with (
        _few_objects_to_collect(),
        Progress("measuring", options.rounds * len(subjects), "rounds", write_line=_write_progress) as progress,
    ):
        rounds = measure_in_turns(subjects, options.rounds, options.seconds, lambda: progress.advance(1))
    shared = {
        "schema_version": INFERENCE_VERSION,
        "measured": started.isoformat(timespec="seconds"),
        "num_rounds": options.rounds,
        "num_runs_in_turns": len(loaded),
        "conditions": Conditions(
            environment["host"],
            environment["processor"],
            environment["num_cores"],
            name,
            torch.get_num_threads(),
            torch.__version__,
        )._asdict(),
        "machine_use": use.describe(),
        "environment": environment,
    }
    records, remaining = [], iter(rounds)
    for (subject, exports, _), peaks, computed in zip(loaded, memory, computation, strict=True):
        record = {
            **shared,
            "config_hash": config_hash(subject.run.read_config()),
            "weights": str(subject.weights.relative_to(subject.run.path)),
            **computed,
            "samples": subject.workload.describe_samples(),
            "num_parameters": subject.num_parameters,
            "weight_bytes": subject.weight_bytes,
            "flops_per_step": subject.workload.flops_per_step,
            "peak_memory_bytes": peaks,
            **summarize_rounds(subject, next(remaining)),
            "exports": {export.name: _export_record(export, next(remaining)) for export in exports},
        }
        records.append(record)
    return records


def _is_written(file: Path, record: Mapping[str, Any]) -> bool:
    """Write a record, and return whether that was possible: the records of the other runs are not lost."""
    try:
        write_json(file, record)
    except OSError as error:
        print(f"rnnexp: not recorded: {printable(str(file))}: {error.strerror}", file=sys.stderr)
        return False
    return True


def _export_record(subject: Subject, rounds: Sequence[Round]) -> dict[str, Any]:
    """Return the numbers of an export, with what was found when it was written."""
    assert subject.export is not None
    return {**subject.export.facts(), "weight_bytes": subject.weight_bytes, **summarize_rounds(subject, rounds)}


@contextmanager
def _few_objects_to_collect() -> Iterator[None]:
    """Hide all objects from the garbage collector, which would otherwise go through them within some of the calls."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def _write_progress(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


def _table(loaded: Sequence[Loaded], of_runs: Sequence[Mapping[str, Any]]) -> Table:
    """Return a row for each run and each of its exports, with the columns in which some row has a number."""
    subjects = [subject for each in loaded for subject in (each.run, *each.exports)]
    records = [record for of_run in of_runs for record in (of_run, *of_run["exports"].values())]
    table = Table(box=SIMPLE_HEAD)
    table.add_column("run", overflow="fold", min_width=20)
    columns = {
        title: cells
        for title, (path, unit) in COLUMNS.items()
        if any(cells := [_shown(value_at(record, path), unit) for record in records])
    }
    for title in columns:
        table.add_column(title, justify="right", no_wrap=True)
    for place, subject in enumerate(subjects):
        table.add_row(plain(subject.name), *(cells[place] for cells in columns.values()))
    return table


def _shown(value: float | None, unit: float) -> str:
    return "" if value is None else f"{value / unit:,.0f}" if value / unit >= 1000 else f"{value / unit:.3g}"
