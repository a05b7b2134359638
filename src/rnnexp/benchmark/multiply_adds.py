"""What a step of training must multiply, counted by formula.

The kernels of recurrent layers hide it from torch's FlopCounterMode. Multiply-adds of the forward pass, for S source
tokens, T target tokens, P pairs of a target and a source token of one sentence, and B sentences (biases and everything
elementwise left out):

    encoder    S * sum over layers and directions of gates * hidden * (input + hidden)
    bridge     B * its weights
    decoder    T * sum over layers of gates * hidden * (input + hidden)
    attention  S * weights of its key + T * weights of its query + P * (score + annotation), where the score takes
               hidden (additive, general, dot) or nothing (none), and the weighted sum takes annotation
    deep       T * its weights, likewise the output layer's

The backward pass takes each product twice, for the gradient of either factor: 3 times the forward pass in all (a little
less without attention, whose fixed weights have no gradient). A multiply-add is two floating-point operations. Tokens
are real ones: what is computed of padding is waste, not work.
"""

from collections.abc import Iterable
from typing import Any, NamedTuple

from rnnexp.data.batches import TranslationBatch
from rnnexp.models import Seq2Seq
from rnnexp.recurrent import RecurrentStack


class Work(NamedTuple):
    """How much a batch has of what products are taken of."""

    source: int
    target: int
    """Inputs of the decoder: EOS is to be predicted, BOS is not."""
    pairs: int
    """Of a target and a source token of one sentence."""
    sentences: int

    @classmethod
    def of(cls, batch: TranslationBatch) -> "Work":
        """Without padding."""
        source, target = batch.source_lengths, batch.target_lengths - 1
        return cls(int(source.sum()), int(target.sum()), int(source @ target), len(source))


def multiply_adds(model: Seq2Seq, work: Work) -> dict[str, int]:
    """Of the forward pass, by module; the formula stands at the top of this file."""
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
    """Billions of floating-point operations of a step of training on each batch, in all."""
    return 3 * 2 * sum(sum(multiply_adds(model, Work.of(batch)).values()) for batch in batches) / 1e9
