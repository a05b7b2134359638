"""Candidates take turns, ratios are computed within rounds, and the clock includes the time of callbacks."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn, ones
from torch.utils.data import DataLoader

from rnnexp.benchmark.measurement import StepClock, Steps, compare, take_turns


def test_candidates_take_turns() -> None:
    order: list[str] = []

    def candidate(name: str) -> Callable[[], int]:
        return lambda: order.append(name) or len(order)  # type: ignore[func-returns-value]

    assert take_turns({"a": candidate("a"), "b": candidate("b")}, 3) == {"a": [1, 3, 5], "b": [2, 4, 6]}
    assert order == ["a", "b"] * 3


def test_a_ratio_is_computed_within_rounds() -> None:
    # The machine was ten times slower in the last two rounds: the ratio of medians would be 3.
    assert compare([2, 20, 30], [1, 10, 10]) == {"median": 2, "lowest": 2, "highest": 3}


class Slow(Callback):
    """A callback that takes 5 ms after every step."""

    def on_train_batch_end(self, *_: Any) -> None:
        time.sleep(0.005)


class Regression(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch: Any) -> Any:
        return self.layer(batch).sum()

    def configure_optimizers(self) -> Any:
        from torch.optim import SGD

        return SGD(self.parameters(), lr=0.0)


@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
def test_the_clock_includes_the_time_of_callbacks(tmp_path: Path) -> None:
    clock = StepClock(Steps(warmup=2, timed=6))
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[Slow(), clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(Regression(), DataLoader(ones(9, 1)))  # type: ignore[arg-type]
    assert clock.timed_steps.seconds >= 6 * 0.005
    assert math.isfinite(clock.timed_steps.final_loss)
