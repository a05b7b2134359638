"""The number of multiply-adds of an encoder-decoder by a formula.

FlopCounterMode of torch does not count the kernels of recurrent layers. The forward pass has, for S source tokens,
T target tokens, P pairs of a target and a source token of one sentence, and B sentences (without biases and
elementwise operations):

    encoder    S * sum over layers and directions of gates * hidden * (input + hidden)
    bridge     B * its weights
    decoder    T * sum over layers of gates * hidden * (input + hidden)
    attention  S * weights of its key + T * weights of its query + P * (score + annotation), where the score takes
               hidden (additive, general, dot) or nothing (none), and the weighted sum takes annotation
    deep       T * its weights, and likewise the output layer

A multiply-add is two floating-point operations. Padding is not counted.
"""

from typing import Any, NamedTuple

from rnnexp.data.batches import TranslationBatch
from rnnexp.models import Seq2Seq
from rnnexp.recurrent import RecurrentStack


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
