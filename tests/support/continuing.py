"""Runs that are interrupted at a step and continued in place, and their comparison with uninterrupted ones."""

import csv
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from rnnexp import train
from rnnexp.core.files.atomic import read_json
from rnnexp.core.validation import override
from support.programs import Outcome, call

TRUST = "trust=[support.probing_callbacks]"
SEND = "+callbacks.probe={_target_:support.probing_callbacks.SendSignal,step:%d,number:%d,in_validation:%s}"
PASSING = ("step", "train/samples_per_second", "train/tokens_per_second")
"""Columns of metrics.csv that are no metric, and metrics that differ from run to run."""


def start(place: Path, name: str, overrides: list[str], fault: str | None = None) -> Outcome:
    """Train in the directory `name`, with a fault or without."""
    faults = [] if fault is None else [fault]
    return call(
        train.main, place, [*overrides, f"paths.output_dir={place}/{name}", "run_only=[callbacks.probe]", *faults]
    )


def resume(run: Path, *more: str, figures: bool = False) -> Outcome:
    """Continue a run, without the callback that stopped it."""
    arguments = [override("resume", run), "+callbacks.probe=null", TRUST, *more]
    return call(train.main, run.parent, arguments, figures=figures)


def killed(program: Callable[[], object]) -> None:
    """Run a program that kills its process, in a fork of this one."""
    process = os.fork()
    if process == 0:
        try:
            program()
        finally:
            os._exit(1)
    _, status = os.waitpid(process, 0)
    assert os.waitstatus_to_exitcode(status) == -signal.SIGKILL


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Return the places where two nested values differ in any bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [f"{where}.{key}" for key in one.keys() ^ other.keys()]
        return keys + [
            d for key in one.keys() & other.keys() for d in differences(one[key], other[key], f"{where}.{key}")
        ]
    if isinstance(one, list | tuple) and isinstance(other, list | tuple) and len(one) == len(other):
        return [d for i, pair in enumerate(zip(one, other, strict=True)) for d in differences(*pair, f"{where}.{i}")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if one.dtype == other.dtype and torch.equal(one, other) else [where]
    return [] if one == other or (one != one and other != other) else [where]


def records_of(run: Path) -> dict[str, Any]:
    """Return what a run leaves, without times, paths and the order of rows."""
    checkpoints = {path.name: _weights(path) for path in run.glob("checkpoints/*.ckpt") if path.name != "previous.ckpt"}
    result = read_json(run / "result.json")
    return {
        "checkpoints": checkpoints,
        "metrics.csv": _values(run / "metrics.csv"),
        "metrics": {name: value for name, value in result["metrics"].items() if name not in PASSING},
        **{key: result[key] for key in ("status", "num_epochs", "num_steps", "num_test_samples", "data", "model")},
        **{
            name: (run / name).read_text(encoding="utf-8")
            for name in ("samples.csv", "gradient_flow.csv", "test_translations.jsonl")
            if (run / name).exists()
        },
        "files": sorted(path.name for path in run.rglob("*") if path.is_file() and _is_lasting(path)),
    }


def _is_lasting(path: Path) -> bool:
    return path.name not in ("previous.ckpt",) and "wandb" not in path.parts


def _weights(path: Path) -> dict[str, Any]:
    checkpoint = torch.load(path, weights_only=True)
    state: dict[str, Any] = {
        key: checkpoint[key]
        for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch")
        if key in checkpoint
    }
    for key, value in checkpoint.get("callbacks", {}).items():
        if "Checkpoint" in key:
            state[key] = {name: value[name] for name in ("best_model_score", "kth_value")}
        elif key != "Throughput":  # it has times
            state[key] = value
    return state


def _values(path: Path) -> list[tuple[int, str, str]]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return sorted(
            (int(row["step"]), name, value)
            for row in csv.DictReader(file)
            for name, value in row.items()
            if value and name not in PASSING
        )
