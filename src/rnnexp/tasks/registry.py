"""The registry of tasks: one row per task, of strings and small values, importable without torch.

Programs ask the registry instead of knowing tasks. What a row leaves out falls back: no figures, the loss as measure.
Names of functions are written as `module:function` and imported when they are called.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import Any


@dataclass(frozen=True)
class Measure:
    """A metric of result.json, and how it is shown.

    Args:
        name: the key in `metrics` of result.json.
        label: the name in tables and figures.
        unit: what the shown value is counted in.
        scale: the shown value over the metric's.
        digits: digits after the decimal point.
        higher_is_better: the direction of better.
        highest: the upper bound of shown values; the lower bound is 0.
    """

    name: str
    label: str
    unit: str = ""
    scale: float = 1.0
    digits: int = 2
    higher_is_better: bool = True
    highest: float = math.inf

    @property
    def title(self) -> str:
        """The label with its unit."""
        return f"{self.label}, {self.unit}" if self.unit else self.label

    @property
    def validation(self) -> str:
        """The name of the same metric on the validation split."""
        return self.name.replace("test/", "val/", 1)

    def show(self, value: float) -> str:
        """Format a scaled value, without its unit."""
        return f"{value:.{self.digits}f}"

    def interval(self, middle: float, half_width: float) -> tuple[float, float]:
        """Return the ends of an interval, clipped to possible values; all are scaled."""
        return max(0.0, middle - half_width), min(self.highest, middle + half_width)


LOSS = Measure("test/loss", "loss", digits=4, higher_is_better=False)


@dataclass(frozen=True)
class TaskKind:
    """A row of the registry.

    Args:
        name: how records and reports call the task: `classification`.
        target: the class of the task, as `_target_` names it.
        batch: what its batches hold, in plural: `labelled sequences`.
        data_options: options of the config group `data` that supply such batches.
        callbacks_option: the option of the config group `callbacks` that fits.
        monitor: the metric that decides which epoch is best.
        mode: `max` or `min`, the direction of better of the monitor.
        measures: what is compared, the main measure first.
        curve: the metric that learning curves show beside the loss, without its split: `acc`.
        figures: `module:function` that makes the figures of a run, `(run, task, datamodule) -> {name: Figure}`.
        answers: `module:function` that reads what was predicted for each test sample.
        sample_test: `module:function` that compares two runs sample by sample.
        benchmark: `module:function` that measures the speed of its training.
        throughput: what `timing` of result.json counts per second: `samples` or `tokens`.
        export_inputs: names of the tensors that an exported model takes.
    """

    name: str
    target: str
    batch: str = "batches"
    data_options: tuple[str, ...] = ()
    callbacks_option: str = "default"
    monitor: str = "val/loss"
    mode: str = "min"
    measures: tuple[Measure, ...] = (LOSS,)
    curve: str | None = None
    figures: str | None = None
    answers: str | None = None
    sample_test: str | None = None
    benchmark: str | None = None
    throughput: str = "samples"
    export_inputs: tuple[str, ...] = ()


def load_function(name: str) -> Callable[..., Any]:
    """Import the function that a row names as `module:function`."""
    module, _, function = name.partition(":")
    loaded: Callable[..., Any] = getattr(import_module(module), function)
    return loaded
