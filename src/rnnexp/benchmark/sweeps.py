"""The time of a sweep, compared with the same jobs under Hydra's basic launcher, which runs them in one process."""

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from rich.table import Table

from rnnexp.benchmark.measurement import compare, take_turns
from rnnexp.benchmark.report import format_ratio
from rnnexp.benchmark.start_up import run_python
from rnnexp.core.files.atomic import read_json
from rnnexp.core.validation import override

POOL, BASIC = "hydra/launcher=pool", "hydra/launcher=basic"


def measure_sweep(arguments: Sequence[str], num_jobs: int, repetitions: int) -> dict[str, Any]:
    """Return the seconds of a sweep over seeds under each launcher, from the start of the command to its end.

    They include the report, which Hydra's launcher does not write.

    Args:
        arguments: arguments of train, flags first.
        num_jobs: the number of jobs of the sweep.
        repetitions: the number of rounds.

    Raises:
        UserError: if a job fails.
    """
    first_steps: list[float] = []

    def pool() -> float:
        with TemporaryDirectory() as directory:
            seconds = _seconds(POOL, arguments, num_jobs, Path(directory))
            results = sorted(Path(directory).glob("sweep/jobs/*/result.json"))
            first_steps.extend(float(read_json(result)["timing"]["first_step_seconds"]) for result in results)
            return seconds

    def basic() -> float:
        with TemporaryDirectory() as directory:
            return _seconds(BASIC, arguments, num_jobs, Path(directory))

    seconds = take_turns({POOL: pool, BASIC: basic}, repetitions)
    return {
        "jobs": num_jobs,
        "seconds": seconds,
        "basic_over_pool": compare(seconds[BASIC], seconds[POOL]),
        "first_step_seconds": {"median": median(first_steps), "highest": max(first_steps)},
    }


def sweep_table(sweep: Mapping[str, Any]) -> Table:
    """Return a table of the seconds under each launcher, their ratio, and the time until a job's first step."""
    table = Table(f"{sweep['jobs']} jobs")
    table.add_column("measured", justify="right")
    for name, rounds in sweep["seconds"].items():
        table.add_row(f"{name}, s", f"{median(rounds):.1f}")
    table.add_row("basic / pool", format_ratio(sweep["basic_over_pool"]))
    first = sweep["first_step_seconds"]
    table.add_row("first step of a job, s", f"{first['median']:.2f} (at most {first['highest']:.2f})")
    return table


def _seconds(launcher: str, arguments: Sequence[str], num_jobs: int, directory: Path) -> float:
    own = [
        f"seed={','.join(map(str, range(1, num_jobs + 1)))}",
        "logger=csv",
        override("sweep_dir", directory / "sweep"),
        override("paths.outputs_dir", directory / "outputs"),
    ]
    start = time.perf_counter()
    run_python("-m", "rnnexp.train", "-m", *arguments, launcher, *own)
    return time.perf_counter() - start
