"""Delayed recall of one symbol."""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from rnnexp.data.batches import LabeledSequences
from rnnexp.data.memory.base import MemoryDataModule, Solved

NUM_SYMBOLS = 8


class DelayedRecallDataModule(MemoryDataModule):
    """Delayed recall: the class of a sequence is its first symbol (Hochreiter & Schmidhuber, 1997, section 5.2).

    Each of `length` steps has one of eight symbols, one-hot; those after the first are random and have no meaning. It
    counts as solved from an accuracy of 99 % on; chance is 12.5 %.

    Args: see MemoryDataModule.
    """

    batch_type: ClassVar = LabeledSequences
    shortest = 2
    input_size = NUM_SYMBOLS
    num_classes = NUM_SYMBOLS

    @property
    def num_sequences(self) -> float:
        return float(NUM_SYMBOLS) ** min(self.length, 100)

    @property
    def chance_loss(self) -> float:
        return math.log(NUM_SYMBOLS)

    @property
    def solved(self) -> Solved:
        return Solved("test/acc", 0.99)

    def draw(self, number: int, generator: np.random.Generator) -> NDArray[Any]:
        """Return the symbols of each step, uint8 [number, length]."""
        return generator.integers(NUM_SYMBOLS, size=(number, self.length), dtype=np.uint8)

    def make_batch(self, rows: Tensor) -> LabeledSequences:
        symbols = rows.long()
        return LabeledSequences(one_hot(symbols, NUM_SYMBOLS).float(), symbols[:, 0])
