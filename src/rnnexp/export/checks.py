"""The check of exported graphs against their run, on its test samples."""

import math
import sys
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn

from rnnexp.compat.lightning import lightning_errors
from rnnexp.core.errors import UserError
from rnnexp.export.parts import Export
from rnnexp.runs.build import Experiment
from rnnexp.runs.stages import plain_metrics
from rnnexp.tasks.registry import Measure

LARGEST_DIFFERENCE = 1e-3
"""The largest difference of an output, relative to the largest output where that exceeds 1."""
DIGITS = 4
"""Digits after the decimal point in which metrics must agree; of a metric above 1, digits after the first."""


def largest_difference(
    export: Export,
    stand_in: nn.Module,
    batch: Any,  # noqa: ANN401
    bound: float = LARGEST_DIFFERENCE,
) -> float:
    """Return the largest difference between the outputs of graphs and of the network.

    Two sizes of batches and two numbers of steps are compared, with padding.

    Args:
        export: has the network.
        stand_in: runs the graphs.
        batch: a batch of the test set.
        bound: the largest difference allowed, relative to the largest output where that exceeds 1.

    Raises:
        UserError: for outputs that differ by more than the bound, and those that are not finite.
    """
    network, time, largest = export.predictor.module, export.time_of(batch), 0.0
    for size in (1, 3):
        for steps in sorted({time, max(1, time // 2)}):
            arguments = export.small(batch, size, steps)
            with torch.no_grad():
                expected, found = network(*arguments), stand_in(*arguments)
            scale = max(1.0, float(expected.abs().max()))
            difference = float((found - expected).abs().max())
            if not difference <= min(bound * scale, sys.float_info.max):
                raise UserError(
                    f"export: the file differs from the run by {difference:.3g} for {size} sequence(s) of {steps} "
                    "steps: nothing is written; please report it"
                )
            largest = max(largest, difference)
    return largest


def metrics_with(network: nn.Module, experiment: Experiment) -> dict[str, float]:
    """Return the metrics of the test of an experiment with another network in its task."""
    task = experiment.task
    own, task.model = task.model, network.eval()
    try:
        with lightning_errors():
            experiment.trainer.test(task, datamodule=experiment.datamodule, verbose=False)
    finally:
        task.model = own
    metrics = plain_metrics(experiment.trainer.callback_metrics)
    return {name: value for name, value in metrics.items() if name.startswith("test/")}


def require_equal(expected: Mapping[str, float], found: Mapping[str, float]) -> None:
    """Raise UserError for a metric that differs in its first digits."""
    for name, value in expected.items():
        bound = 10**-DIGITS * max(1.0, abs(value))
        if not (abs(found[name] - value) < bound or (math.isnan(value) and math.isnan(found[name]))):
            raise UserError(
                f"export: {name} of the file is {found[name]:.6g}, and of the run {value:.6g}: nothing is written; "
                "please report it"
            )


def require_close(measure: Measure, expected: float, found: float, tolerance: float) -> None:
    """Raise UserError for a quantized file with a main measure that is worse than that of the run.

    Args:
        measure: the main measure of the task.
        expected: its value for the run.
        found: its value for the file.
        tolerance: how much worse it may be, relative to its value for the run.
    """
    worse = expected - found if measure.higher_is_better else found - expected
    if not worse <= tolerance * abs(expected):
        raise UserError(
            f"export: {measure.name} of the quantized file is {found:.4g}, and of the run {expected:.4g}: worse by "
            f"more than tolerance={tolerance:g} of it: nothing is written; export without quantize=, or allow more"
        )
