"""The measurement of speed: the same number of steps of each candidate, in turns."""

import gc
import logging
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from statistics import median
from typing import Any, NamedTuple, TypeVar

import torch
from lightning.pytorch import Callback, LightningModule, Trainer

T = TypeVar("T")
RNNEXP = "rnnexp"
"""The candidate that is compared with all others."""


class Steps(NamedTuple):
    """The numbers of training steps of a candidate in each round."""

    warmup: int
    """not timed; the first steps allocate memory that later ones reuse"""
    timed: int

    @property
    def total(self) -> int:
        """The number of all steps."""
        return self.warmup + self.timed

    @property
    def scheduled(self) -> int:
        """The number of steps of the learning rate schedule: one more, at whose start `StepClock` stops."""
        return self.total + 1


class TimedSteps(NamedTuple):
    """The time of the timed steps."""

    seconds: float
    final_loss: float = float("nan")
    """the loss of the last step, equal for candidates that do the same work"""


def take_turns(candidates: Mapping[str, Callable[[], T]], repetitions: int) -> dict[str, list[T]]:
    """Return the measurements of each candidate in each round. Every round calls all candidates in their order."""
    measured: dict[str, list[T]] = {name: [] for name in candidates}
    for _ in range(repetitions):
        for name, measure in candidates.items():
            gc.collect()  # so that no candidate spends time on garbage of the previous one
            measured[name].append(measure())
    return measured


def compare(numerators: Sequence[float], denominators: Sequence[float]) -> dict[str, float]:
    """Return the median, lowest and highest of the ratios within rounds.

    A slowdown of a whole round cancels in its ratio. The range shows the uncertainty of the median.
    """
    ratios = [a / b for a, b in zip(numerators, denominators, strict=True)]
    return {"median": median(ratios), "lowest": min(ratios), "highest": max(ratios)}


def now(device: torch.device) -> float:
    """Return the wall time in seconds when the device has finished its queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class StepClock(Callback):
    """A callback that times steps of `Trainer.fit`, from the start of a batch to that of the batch `steps.timed` later.

    The time of a step therefore includes loading its batch, every hook of every callback, the optimizer, the schedule
    and logging. There must be one more batch than `steps.total`.
    """

    def __init__(self, steps: Steps) -> None:
        self.steps = steps
        self._start = self._end = 0.0
        self._final_loss = float("nan")

    @property
    def timed_steps(self) -> TimedSteps:
        """The time of the timed steps, valid after the training."""
        return TimedSteps(self._end - self._start, self._final_loss)

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,
    ) -> None:
        if batch_idx == self.steps.warmup:
            self._start = now(trainer.strategy.root_device)
        elif batch_idx == self.steps.total:
            self._end = now(trainer.strategy.root_device)

    def on_train_batch_end(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,
    ) -> None:
        if batch_idx == self.steps.total - 1:
            self._final_loss = outputs["loss"].item()


@contextmanager
def silenced_lightning() -> Iterator[None]:
    """Suppress the messages and warnings of Lightning."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
