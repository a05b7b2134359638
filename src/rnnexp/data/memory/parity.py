"""The parity of bits."""

import math
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from rnnexp.data.batches import TaggedSequences
from rnnexp.data.memory.base import MemoryDataModule, Solved


class ParityDataModule(MemoryDataModule):
    """Parity: at each step, whether the number of ones so far is odd.

    Each of `length` steps is a bit. One bit must be kept and changed by each input, which a recurrence that is linear
    in its state with positive gates cannot do (Merrill et al., 2024, arXiv:2404.08819). It counts as solved from an
    accuracy over all steps of 99 % on; chance is 50 %.

    Args: see MemoryDataModule.
    """

    batch_type: ClassVar = TaggedSequences
    input_size = 1
    num_classes = 2

    @property
    def num_sequences(self) -> float:
        return 2.0 ** min(self.length, 1000)

    @property
    def chance_loss(self) -> float:
        return math.log(2)

    @property
    def solved(self) -> Solved:
        return Solved("test/acc", 0.99)

    def draw(self, number: int, generator: np.random.Generator) -> NDArray[Any]:
        """Return the bits, uint8 [number, length]."""
        return generator.integers(2, size=(number, self.length), dtype=np.uint8)

    def make_batch(self, rows: Tensor) -> TaggedSequences:
        bits = rows.long()
        return TaggedSequences(bits.unsqueeze(2).float(), bits.cumsum(dim=1) % 2)
