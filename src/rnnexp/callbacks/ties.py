"""Equal values of the monitored metric: the lower validation loss decides, and a metric that never moves is logged."""

import logging
import math
from collections.abc import Mapping
from typing import Any

from lightning.pytorch import Trainer

log = logging.getLogger(__name__)

LOSS = "val/loss"
NUM_EQUAL = 3
"""Validations with the same value, at the start of a run, after which the metric is said not to move."""


def rank(value: float, loss: float, mode: str) -> tuple[float, float]:
    """Return a key that orders epochs: the best one has the greatest. Among equal values the lower loss decides.

    Args:
        value: the monitored metric; NaN is worse than any number.
        loss: the validation loss, see `loss_of`.
        mode: `max` or `min`.
    """
    signed = value if mode == "max" else -value
    return (-math.inf if math.isnan(value) else signed), (-math.inf if math.isnan(loss) else -loss)


def loss_of(trainer: Trainer) -> float:
    """Return the validation loss of this epoch; infinity if it is not measured."""
    loss: Any = trainer.callback_metrics.get(LOSS)
    return math.inf if loss is None else float(loss)


class ConstantMetric:
    """The detection of a metric with the same value in all validations so far, which one warning reports."""

    def __init__(self, name: str) -> None:
        self.name = name
        self._value: float | None = None
        self._loss = math.nan
        self._num_equal = 0
        self._moves = False

    def watch(self, trainer: Trainer, value: float) -> None:
        """Count a validation. One whose loss is that of the previous call is the same validation."""
        loss = loss_of(trainer)
        self._moves = self._moves or (self._value is not None and value != self._value)
        if not self._moves and loss != self._loss:
            self._value, self._loss = value, loss
            self._num_equal += 1
            if self._num_equal == NUM_EQUAL:
                self._report()

    def finish(self) -> None:
        """Report at the end of a run that had too few validations before."""
        if not self._moves and 1 < self._num_equal < NUM_EQUAL:
            self._report()

    def state_dict(self) -> dict[str, Any]:
        """Return what a process that continues the run needs."""
        return {"value": self._value, "loss": self._loss, "num_equal": self._num_equal, "moves": self._moves}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue with the validations of an earlier process."""
        self._value, self._loss = state["value"], state["loss"]
        self._num_equal, self._moves = state["num_equal"], state["moves"]

    def _report(self) -> None:
        log.warning(
            "%s is %g in each of %d validations: it does not tell epochs apart, so the lower %s decides; "
            "choose another metric with monitor= and monitor_mode=",
            *(self.name, self._value, self._num_equal, LOSS),
        )
