"""A model that records the samples that it sees, a trainer that stops it at any hook, and the loaders of its data."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Callback, LightningDataModule, LightningModule, Trainer
from torch import Tensor

MAX_EPOCHS = 3


class Recorder(LightningModule):
    """A model that learns nothing and records the samples of every batch.

    Args:
        samples_of: the samples of a batch.
    """

    def __init__(self, samples_of: Callable[[Any], list[int]]) -> None:
        super().__init__()
        self.samples_of = samples_of
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen: list[list[int]] = []
        self.seen_in_validation: list[int] = []

    def training_step(self, batch: Any, _batch_idx: int) -> Tensor:
        self.seen.append(self.samples_of(batch))
        return (self.weight * batch[0].float().mean()).sum()

    def validation_step(self, batch: Any, _batch_idx: int) -> None:
        self.seen_in_validation += self.samples_of(batch)

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Stopped(Exception):  # noqa: N818
    """Raised by `StopAt` to end training."""


class StopAt(Callback):
    """A callback that saves a checkpoint and raises `Stopped` when one of its hooks is called for the n-th time."""

    def __init__(self, hook: str, calls: int, path: Path) -> None:
        self.calls = calls
        self.path = path
        setattr(self, hook, self.count)

    def count(self, trainer: Trainer, *_: Any, **__: Any) -> None:
        if trainer.sanity_checking:
            return
        self.calls -= 1
        if self.calls == 0:
            trainer.save_checkpoint(self.path)
            raise Stopped


def make_trainer(*callbacks: Callback, **options: Any) -> Trainer:
    """Return a trainer on the CPU that writes and prints nothing."""
    silent = dict.fromkeys(("logger", "enable_checkpointing", "enable_progress_bar", "enable_model_summary"), False)
    defaults = {"accelerator": "cpu", "max_epochs": MAX_EPOCHS, "callbacks": list(callbacks)}
    return Trainer(**(silent | defaults | options))


def loaders_of(data: LightningDataModule) -> dict[str, Any]:
    """Return the loader of each split."""
    return {"train": data.train_dataloader(), "val": data.val_dataloader(), "test": data.test_dataloader()}
