"""The report of a benchmark: its environment, its measurements and its file."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import torch

from rnnexp.core.files.atomic import write_json
from rnnexp.tracking.environment import describe_environment, processor_name
from rnnexp.tracking.run_directory import SCHEMA_VERSION, time_stamp


def describe_benchmark(task: str, config: Mapping[str, Any], overrides: list[str]) -> dict[str, Any]:
    """Return the report without measurements.

    Args:
        task: the name of the task.
        config: the config of the measured experiment, as plain values.
        overrides: the overrides on the command line.
    """
    on_gpu = torch.cuda.is_available() and config["trainer"]["accelerator"] != "cpu"
    device = {
        "type": "cuda" if on_gpu else "cpu",
        "name": torch.cuda.get_device_name() if on_gpu else processor_name(),
        "num_threads": torch.get_num_threads(),
    }
    return {
        "schema_version": SCHEMA_VERSION,
        "environment": describe_environment(device),
        "overrides": overrides,
        "config": config,
        "task": task,
        "start_up": None,
        "sweep": None,
        "speed": None,
    }


def format_ratio(ratio: Mapping[str, float]) -> str:
    """Format a result of `compare`."""
    return f"{ratio['median']:.3f} ({ratio['lowest']:.2f}-{ratio['highest']:.2f})"


def write_measurements(outputs_dir: Path, report: Mapping[str, Any]) -> Path:
    """Write `<outputs_dir>/benchmark/<timestamp>.json`, and return its path."""
    directory = outputs_dir / "benchmark"
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / f"{time_stamp(datetime.now().astimezone())}.json"
    write_json(path, report)
    return path
