"""The base class of data modules."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from lightning.pytorch import LightningDataModule

from rnnexp.data.text.parallel_text import Primitive


class DataModule(LightningDataModule, ABC):
    """Three splits as batches of one type.

    Attributes:
        batch_type: the type of batches that it produces; tasks that consume this type can be trained on these data, see
            `rnnexp.tasks.base.Task`.
    """

    batch_type: ClassVar[type]

    @property
    @abstractmethod
    def data_info(self) -> dict[str, Primitive]:
        """What the data are, for the record of a run: flat, with at least `name`, `num_train` and `num_test`."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """A line about the data, shown at the start."""

    @abstractmethod
    def use_preprocessing_of(self, checkpoint: Mapping[str, Any]) -> None:
        """Prepare inputs as they were for a checkpoint's weights. Call it before `setup`.

        Raises:
            UserError: for the weights of another task.
        """

    @abstractmethod
    def setup(self, stage: str | None = None) -> None:
        """Read all splits, once. It must work without a trainer."""

    def rank_and_world_size(self) -> tuple[int, int]:
        """Return this process' rank and the number of processes that train together; (0, 1) without a trainer."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
