"""What every data module tells those who launch, test and record an experiment."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, ClassVar

from lightning.pytorch import LightningDataModule

from rnnexp.data.text.parallel_text import Primitive


class DataModule(LightningDataModule, ABC):
    """Three splits as batches of one type.

    Attributes:
        batch_type: of rnnexp.data.batches; a task that eats it can be trained on these data.
    """

    batch_type: ClassVar[type]

    @property
    @abstractmethod
    def description(self) -> dict[str, Primitive]:
        """What is trained and tested on, for the record of a run: flat, of primitives, `num_test` among them."""

    @property
    @abstractmethod
    def summary(self) -> str:
        """What a person reads of the data at the start, in one line."""

    @abstractmethod
    def use_preprocessing_of(self, checkpoint: Mapping[str, Any]) -> None:
        """Prepares inputs as those were that a checkpoint's weights were trained on; to be said before `setup`.

        Raises:
            UserError: for the weights of another task.
        """

    @abstractmethod
    def setup(self, stage: str | None = None) -> None:
        """Reads everything, once; without a trainer, too."""

    def rank_and_world_size(self) -> tuple[int, int]:
        """This process among those that train together; (0, 1) without a trainer."""
        return (0, 1) if self.trainer is None else (self.trainer.global_rank, self.trainer.world_size)
