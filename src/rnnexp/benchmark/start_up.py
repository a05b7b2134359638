"""The start-up time of the programs, compared with the imports that training needs."""

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

from rnnexp.benchmark.measurement import compare, take_turns
from rnnexp.benchmark.report import format_ratio
from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import read_json
from rnnexp.core.validation import override

IMPORTS = "import torch, lightning"
FIRST_STEPS = {
    "first step, CSV": ["logger=csv"],
    # Online, W&B would record a run for each measurement.
    "first step, CSV and W&B": ["logger=wandb", "logger.wandb.mode=offline"],
}


def measure_start_up(arguments: Sequence[str], repetitions: int) -> dict[str, Any]:
    """Return the seconds from the start of a process until it has imported modules, trained one step, or ended.

    Args:
        arguments: arguments of train, flags first.
        repetitions: the number of rounds.

    Raises:
        UserError: if training does not start, with the line of its error.
    """
    candidates: dict[str, Callable[[], float]] = {
        IMPORTS: import_seconds,
        **{name: partial(first_step_seconds, [*arguments, *logger]) for name, logger in FIRST_STEPS.items()},
        "train --help": partial(answer_seconds, ["--help"]),
        "train --cfg job": partial(answer_seconds, ["--cfg", "job"]),
    }
    seconds = take_turns(candidates, repetitions)
    return {
        "seconds": seconds,
        "median_seconds": {name: median(rounds) for name, rounds in seconds.items()},
        "over_imports": {name: compare(rounds, seconds[IMPORTS]) for name, rounds in seconds.items()},
    }


def start_up_table(start_up: Mapping[str, Any]) -> Table:
    """Return a table with one row per program."""
    table = Table("start-up")
    for column in ("seconds", "/ imports"):
        table.add_column(column, justify="right")
    for name, seconds in start_up["median_seconds"].items():
        ratio = "" if name == IMPORTS else format_ratio(start_up["over_imports"][name])
        table.add_row(name, f"{seconds:.2f}", ratio)
    return table


def import_seconds() -> float:
    """Return the seconds until a new process has imported PyTorch and Lightning."""
    code = (
        "import torch, lightning; from rnnexp.tracking.stopwatch import seconds_since_process_start; "
        "print(seconds_since_process_start())"
    )
    return float(run_python("-c", code))


def first_step_seconds(arguments: Sequence[str]) -> float:
    """Return the seconds until a new process has trained one step, from its result.json."""
    with TemporaryDirectory() as directory:
        output_dir = Path(directory) / "run"
        one_step = ["trainer.max_steps=1", "test_weights=none", override("paths.output_dir", output_dir)]
        run_python("-m", "rnnexp.train", *arguments, *one_step)
        return float(read_json(output_dir / "result.json")["timing"]["first_step_seconds"])


def answer_seconds(arguments: Sequence[str]) -> float:
    """Return the seconds of a run of train with arguments with which it only prints."""
    start = time.perf_counter()
    run_python("-m", "rnnexp.train", *arguments)
    return time.perf_counter() - start


def run_python(*arguments: str) -> str:
    """Run Python, and return its standard output.

    Raises:
        UserError: if it fails, with the last line of its errors.
    """
    process = subprocess.run(  # noqa: S603
        [sys.executable, *arguments], capture_output=True, encoding="utf-8", errors="replace", check=False
    )
    if process.returncode != 0:
        last = process.stderr.strip().rpartition("\n")[2] or "it printed no error"
        raise UserError(f"{' '.join(arguments)} ended with exit code {process.returncode}: {last}")
    return process.stdout
