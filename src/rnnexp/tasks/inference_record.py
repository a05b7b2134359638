"""inference.json: what inference with a finished run costs on one machine, measured by `python -m rnnexp.latency`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import read_json
from rnnexp.tracking.keys import value_at

INFERENCE_VERSION = 2
BATCH_SIZES = (1, 16, 128)
"""The sizes of the batches whose throughput and memory are measured."""
PERCENTILES = (50, 95, 99)
LATENCIES = ("latency", "step_latency", "beam5_latency")
"""Measured times of one call; a task has some of them, see `rnnexp.tasks.workload`."""
NUMBERS = (
    *(f"{name}.p{percent}_ms" for name in LATENCIES for percent in PERCENTILES),
    *(f"{name}.batch_{size}" for name in ("throughput", "peak_memory_bytes") for size in BATCH_SIZES),
    *("words_per_second", "beam5_words_per_second", "weight_bytes", "flops_per_step"),
)
"""Paths of the measured numbers, keys joined by dots; a number is null or missing if this network has none."""
LARGEST = 1e100
"""Larger numbers would overflow in means and deviations; no network has measured one."""


class Conditions(NamedTuple):
    """The values that must be equal for two measurements to be compared."""

    host: str
    processor: str
    num_cores: int
    device: str
    num_threads: int
    torch: str

    def __str__(self) -> str:
        threads = f"{self.num_threads} thread{'' if self.num_threads == 1 else 's'}"
        device = "" if self.device == self.processor else f" on {self.device}"
        return f"{self.host} ({self.processor}, {self.num_cores} cores){device}, {threads}, torch {self.torch}"


def read_inference(file: Path, config_hash: str) -> dict[str, Any]:
    """Return the content of inference.json; empty if there is none.

    Args:
        file: the file.
        config_hash: the hash of the run's config.

    Raises:
        UserError: if it is damaged, from a newer rnnexp, or about another config.
    """
    if not file.exists():
        return {}
    content = read_json(file)
    version = content.get("schema_version")
    if type(version) is not int or not 1 <= version <= INFERENCE_VERSION:
        raise UserError(
            f"{file} has another version than {INFERENCE_VERSION}: measure again with python -m rnnexp.latency"
        )
    if content.get("config_hash") != config_hash:
        raise UserError(f"{file} is about another config than this run: measure again with python -m rnnexp.latency")
    for path in NUMBERS:
        _require_measured(content, path, file)
    conditions_of(content, file)
    require_exports(content.get("exports", {}), file)
    return content


def require_exports(exports: object, file: Path) -> None:
    """Raise UserError for a value of `exports` other than the numbers and the metrics of each export by its name."""
    if not isinstance(exports, Mapping):
        raise UserError(f"{file}: exports must be an object, not {str(exports)[:40]!r}")
    for name, export in exports.items():
        metrics = value_at(export, "metrics")
        # A metric that is not defined, such as the accuracy of a class without samples, is null.
        if not isinstance(metrics, Mapping) or not all(each is None or is_number(each) for each in metrics.values()):
            raise UserError(f"{file}: exports.{name}.metrics must be numbers by their names")
        for path in (*NUMBERS, "largest_difference"):
            _require_measured(export, path, file, f"exports.{name}.")


def _require_measured(node: Mapping[str, Any], path: str, file: Path, prefix: str = "") -> None:
    value = value_at(node, path)
    if value is not None and not _is_measured(value):
        raise UserError(f"{file}: {prefix}{path} must be a number of at least 0, not {str(value)[:40]!r}")


def conditions_of(content: Mapping[str, Any], file: Path) -> Conditions:
    """Return the conditions of a measurement.

    Raises:
        UserError: if one is missing or has another type.
    """
    recorded = content.get("conditions")
    types = Conditions.__annotations__
    for name, kind in types.items():
        if not isinstance(recorded, Mapping) or type(recorded.get(name)) is not kind:
            raise UserError(f"{file}: conditions.{name} is missing, or not of type {kind.__name__}")
    assert isinstance(recorded, Mapping)
    return Conditions(**{name: recorded[name] for name in types})


def is_number(value: object) -> bool:
    """Return whether a value is a number that can be computed with."""
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < LARGEST


def _is_measured(value: object) -> bool:
    return is_number(value) and value >= 0  # type: ignore[operator]
