"""How speed is measured: the same number of steps of every contender, in turns."""

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


class Block(NamedTuple):
    """Some steps of training."""

    seconds: float
    final_loss: float
    """Of the last step: contenders that do the same work agree on it."""


def take_turns(contenders: Mapping[str, Callable[[], T]], repetitions: int) -> dict[str, list[T]]:
    """What each contender measured in each round. Every round asks all of them, in their order."""
    measured: dict[str, list[T]] = {name: [] for name in contenders}
    for _ in range(repetitions):
        for name, measure in contenders.items():
            gc.collect()  # nobody pays for what the one before has left
            measured[name].append(measure())
    return measured


def compare(numerators: Sequence[float], denominators: Sequence[float]) -> dict[str, float]:
    """The ratio within each round, whose `median` counts, since what slows a whole round down cancels in it; how far
    `lowest` and `highest` lie apart tells how far to trust it.
    """
    ratios = [a / b for a, b in zip(numerators, denominators, strict=True)]
    return {"median": median(ratios), "lowest": min(ratios), "highest": max(ratios)}


def now(device: torch.device) -> float:
    """Wall time in seconds, once the device has done all it was asked to."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()


class StepClock(Callback):
    """Times steps inside `Trainer.fit`, from the beginning of one batch to the beginning of the batch `steps` later.

    So each step counts with all that belongs to it: fetching its batch, every hook of every callback, the optimiser and
    the schedule, logging and what loggers write. There must be one more batch than `warmup_steps + steps`.

    Args:
        warmup_steps: not timed; the first steps make what later ones use again.
        steps: timed.
    """

    def __init__(self, warmup_steps: int, steps: int) -> None:
        self.first, self.last = warmup_steps, warmup_steps + steps
        self._start = self._end = 0.0
        self._final_loss = float("nan")

    @property
    def block(self) -> Block:
        return Block(self._end - self._start, self._final_loss)

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,
    ) -> None:
        if batch_idx == self.first:
            self._start = now(trainer.strategy.root_device)
        elif batch_idx == self.last:
            self._end = now(trainer.strategy.root_device)

    def on_train_batch_end(
        self,
        trainer: Trainer,  # noqa: ARG002
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,
    ) -> None:
        if batch_idx == self.last - 1:
            self._final_loss = outputs["loss"].item()


@contextmanager
def quiet() -> Iterator[None]:
    """Within the block Lightning neither says what it found nor warns: what it would say is not about this run."""
    logger = logging.getLogger("lightning.pytorch")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)
