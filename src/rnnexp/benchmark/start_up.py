"""How soon the programs answer, against the imports that training cannot do without."""

import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from statistics import median
from tempfile import TemporaryDirectory
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from rnnexp.benchmark.measurement import compare, take_turns
from rnnexp.core.atomic_files import read_json
from rnnexp.core.errors import UserError

TARGET = 1.3
"""First training step over the imports, at most."""
IMPORTS = "import torch, lightning"
FIRST_STEPS = {
    "first step, CSV": ["logger=csv"],
    # Online it would leave runs of one step in somebody's project.
    "first step, CSV and W&B": ["logger=wandb", "logger.wandb.mode=offline"],
}
OWN_KEYS = {
    *("cells", "steps", "warmup_steps", "repetitions", "workers", "start_up", "sweep_jobs", "logger"),
    *("pairs", "decode_sentences"),
}


def measure_start_up(config: DictConfig) -> dict[str, Any]:
    """Seconds since the start of a new process, each in each round: until modules are imported, until the first step of
    training is done, until a question is answered.

    Raises:
        UserError: if training does not start; its own line says why.
    """
    overrides = overrides_of_train()
    contenders: dict[str, Callable[[], float]] = {
        IMPORTS: import_seconds,
        **{name: partial(first_step_seconds, [*overrides, *extra]) for name, extra in FIRST_STEPS.items()},
        "train --help": partial(answer_seconds, ["--help"]),
        "train --cfg job": partial(answer_seconds, ["--cfg", "job"]),
    }
    seconds = take_turns(contenders, config.repetitions)
    return {
        "seconds": seconds,
        "median_seconds": {name: median(rounds) for name, rounds in seconds.items()},
        "over_imports": {name: compare(rounds, seconds[IMPORTS]) for name, rounds in seconds.items()},
        "target": TARGET,
    }


def overrides_of_train() -> list[str]:
    """What was typed, without the keys that train does not have."""
    typed = [str(override) for override in HydraConfig.get().overrides.task]
    return [override for override in typed if override.partition("=")[0] not in OWN_KEYS]


def import_seconds() -> float:
    code = (
        "import torch, lightning; from rnnexp.tracking.stopwatch import seconds_since_process_start; "
        "print(seconds_since_process_start())"
    )
    return float(run_python("-c", code))


def first_step_seconds(overrides: list[str]) -> float:
    """As the run itself records it."""
    with TemporaryDirectory() as directory:
        output_dir = Path(directory) / "run"
        only_one = ["trainer.max_steps=1", "test_weights=none", f"paths.output_dir='{output_dir}'"]
        run_python("-m", "rnnexp.train", *overrides, *only_one)
        return float(read_json(output_dir / "result.json")["timing"]["first_step_seconds"])


def answer_seconds(arguments: list[str]) -> float:
    start = time.perf_counter()
    run_python("-m", "rnnexp.train", *arguments)
    return time.perf_counter() - start


def run_python(*arguments: str) -> str:
    """What it prints. Raises UserError if it fails, with its last line."""
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, check=False)  # noqa: S603
    if done.returncode != 0:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise UserError(f"{' '.join(arguments)} ended with exit code {done.returncode}: {last}")
    return done.stdout
