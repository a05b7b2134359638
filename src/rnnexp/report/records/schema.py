"""The types that the fields of result.json must have, since the file may be damaged or somebody else's."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UserError
from rnnexp.tasks.inference_record import is_number
from rnnexp.tasks.registry import TaskKind, as_record, registered_kinds
from rnnexp.tracking.keys import value_at
from rnnexp.tracking.run_directory import SCHEMA_VERSION

MOST_SHOWN = 40
OBJECTS = ("data", "model", "device", "timing", "precision", "signatures", "answers", "size_budget", "task_kind")
NUMBERS = (
    *("num_epochs", "num_steps", "num_test_samples", "peak_memory_bytes", "data.num_train", "data.num_test"),
    *("model.num_parameters", "model.state_size", "device.num_devices", "timing.fit_seconds", "timing.total_seconds"),
    *("timing.samples_per_second", "timing.tokens_per_second"),
)
TEXTS = (
    *("config_hash", "resumed_from", "data.name", "data.test_digest", "model.cell", "device.type", "device.name"),
    *("precision.requested", "precision.effective"),
)


def validate_result(result: Mapping[str, Any], kind: TaskKind, file: Path) -> None:
    """Raise UserError for the first field that has another type or size than rnnexp writes.

    Args:
        result: the content of result.json.
        kind: the row of the task in the registry, which has the bounds of its measures.
        file: the file, for the message.
    """
    version = result.get("schema_version")
    if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
        what = f"schema version {brief(version)}" if version is not None else "no schema version"
        raise UserError(f"{file} has {what}; this rnnexp reads up to {SCHEMA_VERSION}: update it to compare this run")
    if not isinstance(result.get("metrics"), Mapping):
        raise UserError(f"{file} holds no metrics")
    for paths, what, is_valid in (
        (OBJECTS, "an object", _is_object),
        (NUMBERS, "a number", is_number),
        (TEXTS, "a text", _is_text),
    ):
        for path in paths:
            _require(value_at(result, path), path, what, is_valid, file)
    for name, value in result["metrics"].items():
        _require(value, f"metrics.{name}", "a number", is_number, file)
    for name, value in (result.get("signatures") or {}).items():
        _require(value, f"signatures.{name}", "a text", _is_text, file)
    _require_kind(result.get("task_kind"), kind, file)
    _require_measures(result["metrics"], kind, file)


def _require_measures(metrics: Mapping[str, Any], kind: TaskKind, file: Path) -> None:
    """Raise UserError for a measure of the task that is outside its limits, or too large to be shown."""
    for measure in kind.measures:
        value = metrics.get(measure.name)
        if value is not None and not is_number(measure.scale * value):
            raise UserError(
                f"{file}: metrics.{measure.name} is too large to be shown: {value:g} times {measure.scale:g}"
            )
        if value is not None and measure.highest is not None:
            highest = measure.highest / measure.scale
            # The sum of float32 numbers may be slightly above 1; R² has no lower bound.
            lowest = -math.inf if measure.lowest is None else -1e-6 * highest
            if not lowest <= value <= (1 + 1e-6) * highest:
                limit = "at most" if measure.lowest is None else "within 0 and"
                raise UserError(f"{file}: metrics.{measure.name} must be {limit} {highest:g}, not {value:g}")


def _require_kind(record: Any, kind: TaskKind, file: Path) -> None:  # noqa: ANN401
    """Raise UserError if the row was not made from the record of the task, because a value of it is damaged."""
    if record is None or kind in registered_kinds():
        return
    recorded = {name: value for name, value in record.items() if name in as_record(kind)}
    if recorded != as_record(kind):
        raise UserError(f"{file}: task_kind does not describe a task")


def _require(value: object, path: str, what: str, is_valid: Callable[[object], bool], file: Path) -> None:
    # A value that has not been measured is null or missing.
    if value is not None and not is_valid(value):
        raise UserError(f"{file}: {path} must be {what}, not {brief(value)}")


def brief(value: object) -> str:
    """Return the beginning of a value's representation, for a message."""
    shown = repr(value)
    return shown if len(shown) <= MOST_SHOWN else f"{shown[:MOST_SHOWN]}…"


def _is_object(value: object) -> bool:
    return isinstance(value, Mapping)


def _is_text(value: object) -> bool:
    return isinstance(value, str)
