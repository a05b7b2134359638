"""The base class of data modules."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import torch
from lightning.pytorch import LightningDataModule
from torch import Tensor

from rnnexp.core.errors import UserError
from rnnexp.core.types import Primitive
from rnnexp.data.loading.order import EpochOrder

SPLITS = {"train": "training", "val": "validation"}
"""The names of splits in messages."""


class DataModule(LightningDataModule, ABC):
    """A data module that supplies three splits as batches of one type.

    Attributes:
        batch_type: the type of the batches. Tasks that consume this type can be trained on these data, see
            `rnnexp.tasks.base.Task`.
    """

    batch_type: ClassVar[type]

    @property
    @abstractmethod
    def data_info(self) -> dict[str, Primitive]:
        """The description of the data for the record of a run, flat, with at least `name`, `num_train`, `num_test`.

        `test_digest`, the SHA-256 of the test samples, is recommended: the report compares runs with equal digests.
        Without it, runs are compared only if all keys of the config group `data` but the seed are equal.
        """

    @property
    @abstractmethod
    def summary(self) -> str:
        """A line about the data, shown at the start of a run."""

    @property
    def example(self) -> str | None:
        """A training sample as text, shown at the start of a run to reveal a wrong file or column; by default none."""
        return None

    @property
    def test_ids(self) -> Sequence[str] | None:
        """The name of each test sample in its file, in the order of the test set; by default they have none."""
        return None

    @property
    def feature_names(self) -> Sequence[str] | None:
        """The names of the first values of a step, those that figures show; by default they have none."""
        return None

    def choose_batch_type(self, consumed: type) -> type:  # noqa: ARG002 (most data have one type)
        """Return the type of the batches. Call it before `setup`.

        Args:
            consumed: the type that the task consumes, which data that can have several types choose.
        """
        return self.batch_type

    @abstractmethod
    def use_preprocessing_of(self, checkpoint: Mapping[str, Any]) -> None:
        """Prepare inputs as in the training of a checkpoint. Call it before `setup`.

        Raises:
            UserError: for the weights of another task.
        """

    @abstractmethod
    def setup(self, stage: str | None = None) -> None:
        """Read all splits, once. It must work without a trainer."""

    @staticmethod
    def evaluation_overrides(changed: Collection[str]) -> dict[str, Any]:  # noqa: ARG004
        """Return the values of the config group `data` with which an evaluation rebuilds the data, by default none.

        Args:
            changed: the keys to which the evaluation gives other values than the run.
        """
        return {}

    def transfer_batch_to_device(self, batch: Any, device: torch.device, dataloader_idx: int) -> Any:  # noqa: ANN401
        """Move a batch to the device; its `lengths` stay on the CPU, where packing needs them."""
        lengths = getattr(batch, "lengths", None)
        if lengths is None:
            return super().transfer_batch_to_device(batch, device, dataloader_idx)
        moved = super().transfer_batch_to_device(batch._replace(lengths=None), device, dataloader_idx)
        return moved._replace(lengths=lengths)

    def rank_and_world_size(self, split: str, num_samples: int) -> tuple[int, int]:
        """Return the rank of this process and the number of processes that share a split; (0, 1) without a trainer.

        Args:
            split: `train`, `val` or `test`.
            num_samples: the number of samples of the split.

        Raises:
            UserError: if there are fewer samples than processes, of which each needs a batch.
        """
        rank, world_size = (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
        if num_samples < world_size:
            raise UserError(
                f"the {SPLITS.get(split, split)} split has {num_samples} samples, too few for {world_size} processes: "
                "use fewer devices"
            )
        return rank, world_size

    @property
    def reshuffles(self) -> bool:
        """Whether each epoch of training has a new order: with `overfit_batches` all have the same batches."""
        return not getattr(self.trainer, "overfit_batches", 0) > 0

    def training_order(self, indices: Tensor, *, batch_size: int, seed: int, noun: str) -> EpochOrder:
        """Return the order of single training samples, with the same number of batches on each rank.

        Args:
            indices: int64 [samples], the samples of the split.
            batch_size: samples per batch and rank.
            seed: the seed of the order.
            noun: the name of samples, for messages: `images`.

        Raises:
            UserError: if a batch is larger than the part of a rank.
        """
        rank, world_size = self.rank_and_world_size("train", len(indices))
        order = EpochOrder(
            indices,
            shuffle=self.reshuffles,
            seed=seed,
            rank=rank,
            world_size=world_size,
            equal_length_ranks=True,
        )
        if batch_size > len(order):
            raise UserError(
                f"data.batch_size={batch_size} is larger than the {len(order)} training {noun} that there are "
                f"for each of {world_size} process(es): choose data.batch_size={len(order)} or less"
            )
        return order
