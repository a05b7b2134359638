"""The number of multiply-adds of a training step by a formula, and the speed of a large matrix product.

FlopCounterMode of torch does not count the kernels of recurrent layers. The forward pass has, for S source tokens,
T target tokens, P pairs of a target and a source token of one sentence, and B sentences (without biases and
elementwise operations):

    encoder    S * sum over layers and directions of gates * hidden * (input + hidden)
    bridge     B * its weights
    decoder    T * sum over layers of gates * hidden * (input + hidden)
    attention  S * weights of its key + T * weights of its query + P * (score + annotation), where the score takes
               hidden (additive, general, dot) or nothing (none), and the weighted sum takes annotation
    deep       T * its weights, and likewise the output layer

The backward pass computes each product twice, for the gradients of both factors: 3 times the forward pass in all (less
without attention, whose fixed weights have no gradient). A multiply-add is two floating-point operations. Padding is
not counted.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

import torch

from rnnexp.benchmark.measurement import TimedSteps, now
from rnnexp.data.batches import TranslationBatch
from rnnexp.models import Seq2Seq
from rnnexp.recurrent import RecurrentStack

NUM_PRODUCTS = 20
"""Products per measurement."""


class Work(NamedTuple):
    """The sizes of batches in the formula, without padding."""

    source: int
    """source tokens"""
    target: int
    """inputs of the decoder: BOS counts, EOS does not"""
    pairs: int
    """pairs of a target and a source token of one sentence"""
    sentences: int

    @classmethod
    def of(cls, *batches: TranslationBatch) -> "Work":
        """Return the total work of batches."""
        return cls(*map(sum, zip(*map(cls._of_one, batches), strict=True)))

    @staticmethod
    def _of_one(batch: TranslationBatch) -> tuple[int, int, int, int]:
        source, target = batch.source_lengths, batch.target_lengths - 1
        return int(source.sum()), int(target.sum()), int(source @ target), len(source)


def multiply_adds(model: Seq2Seq, work: Work) -> dict[str, int]:
    """Return the multiply-adds of the forward pass by module, see the formula at the top of this file."""
    decoder, attention = model.decoder, model.decoder.attention
    keys, queries = (getattr(attention, name, None) for name in ("key", "query"))
    score = decoder.hidden_size if attention.has_weights else 0
    return {
        "encoder": work.source * model.encoder.stack.multiply_adds_per_step,
        "bridge": work.sentences
        * sum(weight.numel() for name, weight in model.bridge.named_parameters() if name.endswith("weight")),
        "decoder": work.target * sum(_stack(layer).multiply_adds_per_step for layer in decoder.layers),
        "attention": work.source * (0 if keys is None else keys.weight.numel())
        + work.target * (0 if queries is None else queries.weight.numel())
        + work.pairs * (score + attention.annotation_size),
        "deep": work.target * decoder.deep_output.weight.numel(),
        "output": work.target * decoder.output.weight.numel(),
    }


def _stack(layer: Any) -> RecurrentStack:  # noqa: ANN401 (a member of a ModuleList)
    assert isinstance(layer, RecurrentStack)
    return layer


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
