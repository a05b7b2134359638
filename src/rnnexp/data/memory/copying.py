"""The copying task."""

import math
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import one_hot

from rnnexp.data.batches import TaggedSequences
from rnnexp.data.memory.base import MemoryDataModule, Solved

NUM_SYMBOLS, NUM_COPIED = 8, 10
BLANK, DELIMITER = NUM_SYMBOLS, NUM_SYMBOLS + 1


class CopyingDataModule(MemoryDataModule):
    """The copying task: repeat ten symbols after a delay (Arjovsky et al., 2016, arXiv:1511.06464, section 4.1).

    A sequence has ten symbols of eight, `length` - 1 blanks, a delimiter and ten blanks, each step one-hot. The class
    of a step is blank, and in the last ten steps the symbol to repeat. The loss is the mean over all steps; a network
    without memory reaches 10 ln 8 / (length + 20), the baseline of the paper. It counts as solved below half of that.

    Args: see MemoryDataModule.
    """

    batch_type: ClassVar = TaggedSequences
    input_size = NUM_SYMBOLS + 2
    num_classes = NUM_SYMBOLS + 1

    @property
    def num_sequences(self) -> float:
        return float(NUM_SYMBOLS**NUM_COPIED)

    @property
    def seq_len(self) -> int:
        return self.length + 2 * NUM_COPIED

    @property
    def chance_loss(self) -> float:
        return NUM_COPIED * math.log(NUM_SYMBOLS) / self.seq_len

    @property
    def solved(self) -> Solved:
        return Solved("test/loss", self.chance_loss / 2)

    def draw(self, number: int, generator: np.random.Generator) -> NDArray[Any]:
        """Return the symbols to repeat, uint8 [number, 10]."""
        return generator.integers(NUM_SYMBOLS, size=(number, NUM_COPIED), dtype=np.uint8)

    def make_batch(self, rows: Tensor) -> TaggedSequences:
        symbols = rows.long()
        tokens = torch.full((len(rows), self.seq_len), BLANK)
        labels = tokens.clone()
        tokens[:, :NUM_COPIED] = symbols
        tokens[:, -NUM_COPIED - 1] = DELIMITER
        labels[:, -NUM_COPIED:] = symbols
        return TaggedSequences(one_hot(tokens, self.input_size).float(), labels)
