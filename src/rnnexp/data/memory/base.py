"""The base class of data modules that generate the sequences of a memory task."""

import hashlib
from abc import abstractmethod
from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnexp.core.errors import UserError
from rnnexp.core.types import Primitive
from rnnexp.core.validation import require_positive
from rnnexp.data.base import DataModule
from rnnexp.data.files.free_memory import require_memory
from rnnexp.data.loading.order import EpochOrder
from rnnexp.data.loading.resumable import EpochLoader

SPLITS = ("test", "val", "train")
"""The order in which sequences are drawn, so that the test set does not depend on the size of the others."""

LONGEST = 2**24
"""The largest length: a step is recorded exactly in float32."""


class Solved(NamedTuple):
    """The metric of the test, and the value from which on a memory task counts as solved."""

    metric: str
    value: float


class MemoryDataModule(DataModule):
    """Sequences of a memory task, generated in memory: no two of all splits are equal.

    A subclass draws sequences as rows of compact numbers, and makes a batch of some rows. The sequences depend on
    `sequence_seed`, the length and the numbers of sequences; `seed` is that of the order in training.

    Args:
        name: the name of the task in records and reports.
        length: T, the number of steps over which an answer has to be remembered.
        num_train, num_val, num_test: the numbers of sequences.
        batch_size, eval_batch_size: sequences per batch and rank in training, and in validation and test.
        sequence_seed: the seed of the sequences.
        seed: the seed of the order of training sequences.

    Raises:
        ValueError: for a number below 1, or a length outside its range.
        UserError: if there are too few different sequences.
    """

    shortest: int = 1
    """The shortest length."""
    input_size: int
    """Features per step."""

    def __init__(
        self,
        *,
        name: str,
        length: int,
        num_train: int,
        num_val: int,
        num_test: int,
        batch_size: int,
        eval_batch_size: int,
        sequence_seed: int,
        seed: int,
    ) -> None:
        super().__init__()
        require_positive(num_train=num_train, num_val=num_val, num_test=num_test)
        require_positive(batch_size=batch_size, eval_batch_size=eval_batch_size)
        if type(length) is not int or not self.shortest <= length <= LONGEST:
            raise ValueError(f"length must be a whole number from {self.shortest} to {LONGEST}, not {length!r}")
        if type(sequence_seed) is not int or sequence_seed < 0:
            raise ValueError(f"sequence_seed must be a whole number of at least 0, not {sequence_seed!r}")
        self.memory_task = name
        self.length = length
        self.sizes = {"test": num_test, "val": num_val, "train": num_train}
        self.batch_size, self.eval_batch_size = batch_size, eval_batch_size
        self.sequence_seed, self.seed = sequence_seed, seed
        self._require_enough()
        self._rows: dict[str, Tensor] = {}

    @property
    @abstractmethod
    def num_sequences(self) -> float:
        """The number of different sequences of this length; may be infinite."""

    @property
    @abstractmethod
    def chance_loss(self) -> float:
        """The test loss of the best answer that ignores the input, which a network without memory can reach."""

    @property
    @abstractmethod
    def solved(self) -> Solved:
        """When the task counts as solved."""

    @property
    def seq_len(self) -> int:
        """Steps per sequence."""
        return self.length

    @abstractmethod
    def draw(self, number: int, generator: np.random.Generator) -> NDArray[Any]:
        """Return random sequences as rows [number, ...]; the first of them do not depend on the number."""

    @abstractmethod
    def make_batch(self, rows: Tensor) -> Any:  # noqa: ANN401 (a batch of its type)
        """Return the batch of some rows that were drawn."""

    @property
    def data_info(self) -> dict[str, Primitive]:
        digest = hashlib.sha256(self._rows["test"].numpy().tobytes())
        return {
            "name": self.memory_task,
            "length": self.length,
            "seq_len": self.seq_len,
            "input_size": self.input_size,
            "chance_loss": self.chance_loss,
            "solved_metric": self.solved.metric,
            "solved_value": self.solved.value,
            "sequence_seed": self.sequence_seed,
            **{f"num_{split}": len(self._rows[split]) for split in reversed(SPLITS)},
            "test_digest": digest.hexdigest(),
        }

    @property
    def summary(self) -> str:
        sizes = self.sizes
        return (
            f"{self.memory_task} over {self.length:,} steps, sequences of {self.seq_len:,} steps of {self.input_size}: "
            f"{sizes['train']:,} training, {sizes['val']:,} validation, {sizes['test']:,} test; a loss of "
            f"{self.chance_loss:.4g} needs no memory"
        )

    def use_preprocessing_of(self, checkpoint: Mapping[str, Any]) -> None:
        """Do nothing: nothing is computed from the training split."""

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (all splits are drawn at once)
        """Draw all splits, once."""
        if self._rows:
            return
        self._require_memory()
        rows = torch.from_numpy(distinct_rows(self.draw, sum(self.sizes.values()), self.sequence_seed))
        parts = torch.split(rows, [self.sizes[split] for split in SPLITS])
        self._rows = dict(zip(SPLITS, parts, strict=True))

    def train_dataloader(self) -> "MemoryLoader":
        """Return batches of the training split, in a new order each epoch and the same number on each rank.

        Raises:
            UserError: if a batch is larger than the part of a rank.
        """
        order = self.training_order(
            torch.arange(self.sizes["train"]), batch_size=self.batch_size, seed=self.seed, noun="sequences"
        )
        return MemoryLoader(self, self._rows["train"], order, self.batch_size)

    def val_dataloader(self) -> "MemoryLoader":
        """Return batches of the validation split, every sequence once over all ranks."""
        return self._eval_loader("val")

    def test_dataloader(self) -> "MemoryLoader":
        """Return batches of the test split, every sequence once over all ranks."""
        return self._eval_loader("test")

    def _eval_loader(self, split: str) -> "MemoryLoader":
        rank, world_size = self.rank_and_world_size(split, self.sizes[split])
        order = EpochOrder(torch.arange(self.sizes[split]), shuffle=False, rank=rank, world_size=world_size)
        return MemoryLoader(self, self._rows[split], order, self.eval_batch_size)

    def _require_enough(self) -> None:
        needed = sum(self.sizes.values())
        # Otherwise drawing the last ones would take long, and a network could learn the sequences by heart.
        if needed > self.num_sequences / 2:
            raise UserError(
                f"data: {self.memory_task} of length {self.length} has {self.num_sequences:,.0f} different sequences, "
                f"which must be at least twice the {needed:,} of all splits: choose a larger data.length, or smaller "
                "data.num_train, data.num_val and data.num_test"
            )

    def _require_memory(self) -> None:
        """Raise UserError if the sequences do not fit into memory."""
        # Three times: the rows, their sorted copy, and those that are kept.
        num_bytes = 3 * sum(self.sizes.values()) * self.draw(1, np.random.default_rng(0)).nbytes
        require_memory(
            num_bytes,
            f"data: {sum(self.sizes.values()):,} sequences of length {self.length:,}",
            "choose a smaller data.length or data.num_train",
        )


class MemoryLoader(EpochLoader[Any]):
    """A loader of generated sequences.

    Args:
        data: makes the batches.
        rows: the rows of the split.
        order, batch_size: see `EpochLoader`.
    """

    def __init__(self, data: MemoryDataModule, rows: Tensor, order: EpochOrder, batch_size: int) -> None:
        super().__init__(order, batch_size)
        self.data, self.rows = data, rows

    def gather(self, indices: Tensor) -> Any:  # noqa: ANN401 (a batch of the data's type)
        return self.data.make_batch(self.rows.index_select(0, indices))


def distinct_rows(draw: Any, number: int, seed: int) -> NDArray[Any]:  # noqa: ANN401
    """Return rows that are all different, in the order in which they were drawn first.

    Args:
        draw: (number, generator) -> rows [number, ...], see `MemoryDataModule.draw`.
        number: the number of rows.
        seed: the seed of the generator.
    """
    generator = np.random.default_rng(seed)
    rows: NDArray[Any] = draw(number, generator)
    while True:
        # A row as one value of bytes, so that numpy compares whole rows.
        as_bytes = np.ascontiguousarray(rows).view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
        first_places = np.sort(np.unique(as_bytes, return_index=True)[1])
        rows = rows[first_places]
        if len(rows) >= number:
            return rows[:number]
        rows = np.concatenate([rows, draw(number, generator)])
