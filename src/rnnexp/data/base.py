"""The base class of data modules."""

from abc import ABC, abstractmethod
from collections.abc import Collection, Mapping
from typing import Any, ClassVar

from lightning.pytorch import LightningDataModule

from rnnexp.core.errors import UserError
from rnnexp.core.types import Primitive


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

    def rank_and_world_size(self) -> tuple[int, int]:
        """Return the rank of this process and the number of processes that train together; (0, 1) without a trainer."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)

    def require_samples_for_ranks(self, split: str, num_samples: int) -> None:
        """Raise UserError if a split has fewer samples than there are processes, of which each needs a batch."""
        _, world_size = self.rank_and_world_size()
        if num_samples < world_size:
            raise UserError(
                f"the {split} split has {num_samples} samples, too few for {world_size} processes: use fewer devices"
            )
