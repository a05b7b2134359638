"""Attention is compared with its equations, and masked positions get exactly zero weight."""

import pytest
import torch
from torch import Tensor

from rnnexp.models.attention import ATTENTIONS, AdditiveAttention, Attention

BATCH, TARGET, SOURCE, SIZE = 4, 3, 6, 5
LENGTHS = [6, 1, 4, 2]
MASK = torch.tensor([[position < length for position in range(SOURCE)] for length in LENGTHS])


def attention_of(kind: str, dtype: torch.dtype = torch.double) -> Attention:
    torch.manual_seed(0)
    attention = ATTENTIONS[kind](SIZE, SIZE).to(dtype)
    for parameter in attention.parameters():
        torch.nn.init.normal_(parameter)
    return attention


def tensors(dtype: torch.dtype = torch.double) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(1)
    queries = torch.randn(BATCH, TARGET, SIZE, generator=generator, dtype=torch.double)
    annotations = torch.randn(BATCH, SOURCE, SIZE, generator=generator, dtype=torch.double)
    return queries.to(dtype), annotations.to(dtype)


def score_by_hand(attention: Attention, kind: str, q: Tensor, a: Tensor) -> Tensor:
    weights = dict(attention.named_parameters())
    if kind == "additive":
        hidden = torch.tanh(weights["query.weight"] @ q + weights["key.weight"] @ a + weights["key.bias"])
        return weights["energy.weight"][0] @ hidden
    return {"general": lambda: q @ weights["key.weight"] @ a, "dot": lambda: q @ a, "none": lambda: q.new_zeros(())}[
        kind
    ]()


def test_every_kind_is_tested() -> None:
    assert set(ATTENTIONS) == {"additive", "general", "dot", "none"}


@pytest.mark.parametrize("kind", ATTENTIONS)
def test_equations(kind: str) -> None:
    attention = attention_of(kind)
    queries, annotations = tensors()
    contexts, weights = attention(queries, attention.project(annotations), annotations, MASK)
    assert (contexts.shape, weights.shape) == ((BATCH, TARGET, SIZE), (BATCH, TARGET, SOURCE))
    for b, length in enumerate(LENGTHS):
        for t in range(TARGET):
            inside = annotations[b, :length]
            scores = torch.stack([score_by_hand(attention, kind, queries[b, t], a) for a in inside])
            expected = scores.exp() / scores.exp().sum()
            torch.testing.assert_close(weights[b, t, :length], expected)
            torch.testing.assert_close(contexts[b, t], expected @ inside)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("kind", ATTENTIONS)
def test_masks_are_exact(kind: str, dtype: torch.dtype) -> None:
    attention = attention_of(kind, dtype)
    queries, annotations = tensors(dtype)
    annotations[~MASK] = 100.0  # would dominate the softmax
    contexts, weights = attention(queries, attention.project(annotations), annotations, MASK)
    assert contexts.dtype == weights.dtype == dtype
    assert (weights.masked_select(~MASK.unsqueeze(1)) == 0).all()
    assert (weights[LENGTHS.index(1), :, 0] == 1).all()
    torch.testing.assert_close(weights.double().sum(2), torch.ones(BATCH, TARGET).double(), rtol=0, atol=1e-2)
    for b, length in enumerate(LENGTHS):
        own = annotations[b : b + 1, :length]
        alone, _ = attention(queries[b : b + 1], attention.project(own), own, MASK[b : b + 1, :length])
        tolerance = {"rtol": 0.05, "atol": 0.05} if dtype.itemsize == 2 else {"rtol": 1e-5, "atol": 1e-5}
        torch.testing.assert_close(contexts[b : b + 1], alone, **tolerance)


def test_a_long_sentence_is_scored_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without gradients the numbers of all pairs of positions are not kept at once."""
    layer = AdditiveAttention(4, 6)
    queries, keys = torch.randn(2, 9, 4), layer.project(torch.randn(2, 7, 6))
    whole = layer.score(queries, keys)
    sizes: list[int] = []
    layer.energy.register_forward_hook(lambda _, inputs, __: sizes.append(inputs[0].numel()))
    monkeypatch.setattr("rnnexp.models.attention.MOST_NUMBERS", 2 * keys.numel())
    with torch.no_grad():
        torch.testing.assert_close(layer.score(queries, keys), whole)
    assert max(sizes) == 2 * keys.numel()
    assert len(sizes) == 5


def test_dot_needs_equal_sizes() -> None:
    message = "^dot attention needs a decoder with the size of the encoder's outputs, not 4 and 8: use attention="
    with pytest.raises(ValueError, match=message):
        ATTENTIONS["dot"](4, 8)
