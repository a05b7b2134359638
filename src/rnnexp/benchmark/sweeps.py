"""How long a sweep takes, beside the same jobs under Hydra's own launcher: one by one, in one process."""

import time
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from omegaconf import DictConfig

from rnnexp.benchmark.measurement import compare, take_turns
from rnnexp.benchmark.start_up import overrides_of_train, run_python
from rnnexp.core.atomic_files import read_json

POOL, BASIC = "hydra/launcher=pool", "hydra/launcher=basic"
TARGET = 1.5
"""Hydra's launcher over ours, at least."""
START_UP_TARGET = 2.0
"""Seconds from the start of a job to the end of its first training step, at most."""


def measure_sweep(config: DictConfig) -> dict[str, Any]:
    """Wall seconds of `sweep_jobs` jobs that differ in their seed, from the command line to its end.

    That includes the report, which Hydra's launcher does not write.

    Raises:
        UserError: if a job fails.
    """
    first_steps: list[float] = []

    def pool() -> float:
        with TemporaryDirectory() as directory:
            seconds = _seconds(POOL, config.sweep_jobs, Path(directory))
            results = sorted(Path(directory).glob("sweep/jobs/*/result.json"))
            first_steps.extend(float(read_json(result)["timing"]["first_step_seconds"]) for result in results)
            return seconds

    def basic() -> float:
        with TemporaryDirectory() as directory:
            return _seconds(BASIC, config.sweep_jobs, Path(directory))

    seconds = take_turns({POOL: pool, BASIC: basic}, config.repetitions)
    return {
        "jobs": config.sweep_jobs,
        "seconds": seconds,
        "basic_over_pool": {**compare(seconds[BASIC], seconds[POOL]), "target": TARGET},
        "first_step_seconds": {"median": median(first_steps), "highest": max(first_steps), "target": START_UP_TARGET},
    }


def _seconds(launcher: str, jobs: int, place: Path) -> float:
    own = [f"seed={','.join(map(str, range(1, jobs + 1)))}", f"sweep_dir='{place}/sweep'", "logger=csv"]
    start = time.perf_counter()
    run_python(
        *("-m", "rnnexp.train", "-m", launcher, *overrides_of_train(), *own, f"paths.outputs_dir='{place}/outputs'")
    )
    return time.perf_counter() - start
