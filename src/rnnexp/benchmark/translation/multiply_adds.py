"""The number of floating-point operations of a training step, and the speed of a large matrix product.

The backward pass computes each product twice, for the gradients of both factors: 3 times the forward pass in all (less
without attention, whose fixed weights have no gradient).
"""

from collections.abc import Iterable

import torch

from rnnexp.benchmark.measurement import TimedSteps
from rnnexp.core.clock import now
from rnnexp.data.batches import TranslationBatch
from rnnexp.models import Seq2Seq
from rnnexp.tasks.translation.multiply_adds import Work, multiply_adds

NUM_PRODUCTS = 20
"""Products per measurement."""


def training_gflop(model: Seq2Seq, batches: Iterable[TranslationBatch]) -> float:
    """Return the billions of floating-point operations of a training step on each batch."""
    return 3 * 2 * sum(multiply_adds(model, Work.of(*batches)).values()) / 1e9


class MatrixProduct:
    """A callable that multiplies two float32 matrices with the sizes of the output layer, as the limit of the machine.

    Args:
        rows, inner, columns: the product is [rows, inner] times [inner, columns].
        device: the device of the matrices.
    """

    def __init__(self, rows: int, inner: int, columns: int, device: torch.device) -> None:
        self.size, self.device = (rows, inner, columns), device
        self.left, self.right = torch.randn(rows, inner, device=device), torch.randn(inner, columns, device=device)
        self.gflop = 2 * rows * inner * columns * NUM_PRODUCTS / 1e9

    def __call__(self) -> TimedSteps:
        """Multiply `NUM_PRODUCTS` times, and return the time."""
        product = torch.mm(self.left, self.right)
        start = now(self.device)
        for _ in range(NUM_PRODUCTS):
            torch.mm(self.left, self.right, out=product)
        return TimedSteps(now(self.device) - start)
