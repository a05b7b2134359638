"""The adding problem."""

from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnexp.data.batches import MeasuredSequences, TargetUnits
from rnnexp.data.memory.base import MemoryDataModule, Solved


class AddingDataModule(MemoryDataModule):
    """The adding problem: the sum of the two marked numbers (Hochreiter & Schmidhuber, 1997, section 5.4).

    Each step has a number, uniform between 0 and 1, and a mark that is 1 at one step of the first half, at one step of
    the second half, and else 0, as in Le et al. (2015, arXiv:1504.00941) and most papers since. The loss is the mean
    squared error; the answer 1 has the variance of the sum, 1/6. It counts as solved below 0.001.

    Args: see MemoryDataModule.
    """

    batch_type: ClassVar = MeasuredSequences
    shortest = 2
    input_size = 2
    per_step = False
    units = TargetUnits(["sum"], [0.0], [1.0])

    @property
    def num_sequences(self) -> float:
        return float("inf")

    @property
    def chance_loss(self) -> float:
        return 1 / 6

    @property
    def solved(self) -> Solved:
        return Solved("test/loss", 1e-3)

    def draw(self, number: int, generator: np.random.Generator) -> NDArray[Any]:
        """Return the numbers of each step and the two marked steps, float32 [number, length + 2]."""
        of_values, *of_marks = generator.spawn(3)
        half = self.length // 2
        values = of_values.random((number, self.length), dtype=np.float32)
        bounds = ((0, half), (half, self.length))
        marks = [each.integers(*ends, number) for each, ends in zip(of_marks, bounds, strict=True)]
        return np.column_stack([values, *(each.astype(np.float32) for each in marks)])

    def make_batch(self, rows: Tensor) -> MeasuredSequences:
        values, marked = rows[:, :-2], rows[:, -2:].long()
        marks = torch.zeros_like(values).scatter_(1, marked, 1.0)
        return MeasuredSequences(torch.stack([values, marks], dim=2), values.gather(1, marked).sum(dim=1, keepdim=True))
