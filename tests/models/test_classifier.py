"""Pooling of the sequence classifier, compared with explicit indexing."""

from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnexp.models import SequenceClassifier
from rnnexp.models.classifier import POOLINGS
from rnnexp.recurrent import RecurrentStack

LENGTHS = torch.tensor([6, 1, 4])
HIDDEN = 4


def classifier_of(pooling: str, bidirectional: bool, **options: Any) -> SequenceClassifier:
    torch.manual_seed(0)
    make_stack = partial(
        RecurrentStack, "lstm", hidden_size=HIDDEN, num_layers=2, bidirectional=bidirectional, **options
    )
    classifier = SequenceClassifier(make_stack, input_size=3, num_outputs=10, pooling=pooling)
    for norm in classifier.stack.norms:
        nn.init.normal_(norm.bias)
    return classifier


def pooled_by_hand(pooling: str, outputs: Tensor, length: int) -> Tensor:
    """Return the expected features of one sequence from its outputs [time, directions * hidden]."""
    steps = outputs[:length]
    if pooling == "last_state":
        return torch.cat([steps[-1, :HIDDEN], steps[0, HIDDEN:]])
    return {"last_output": steps[-1], "mean": steps.sum(dim=0) / length, "max": steps.max(dim=0).values}[pooling]


@pytest.mark.parametrize("options", [{}, {"layer_norm": True}, {"residual": True}], ids=str)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
@pytest.mark.parametrize("bidirectional", [False, True])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling(pooling: str, bidirectional: bool, lengths: Tensor | None, options: dict[str, bool]) -> None:
    classifier = classifier_of(pooling, bidirectional, **options)
    x = torch.randn(3, 6, 3)
    logits = classifier(x, lengths)
    outputs, _ = classifier.stack(x, lengths)
    steps = [6, 6, 6] if lengths is None else lengths.tolist()
    pooled = torch.stack([pooled_by_hand(pooling, outputs[row], length) for row, length in enumerate(steps)])
    assert logits.shape == (3, 10)
    torch.testing.assert_close(logits, classifier.head(pooled))


def test_last_state_is_the_final_state_of_the_top_layer() -> None:
    classifier = classifier_of("last_state", bidirectional=True)
    x = torch.randn(3, 6, 3)
    _, (h, _) = classifier.stack(x, LENGTHS)
    torch.testing.assert_close(classifier(x, LENGTHS), classifier.head(h[-1]))


@pytest.mark.parametrize(
    "options", [{}, {"layer_norm": True, "residual": True, "learned_initial_state": True}], ids=str
)
@pytest.mark.parametrize("pooling", POOLINGS)
def test_every_parameter_has_a_gradient(pooling: str, options: dict[str, bool]) -> None:
    """Distributed training stops at a parameter without a gradient."""
    classifier = classifier_of(pooling, bidirectional=True, **options)
    classifier(torch.randn(3, 6, 3), LENGTHS).square().sum().backward()
    gradients = {name: parameter.grad for name, parameter in classifier.named_parameters()}
    assert [name for name, gradient in gradients.items() if gradient is None] == []


def test_dropout_before_the_head() -> None:
    make_stack = partial(RecurrentStack, "gru", hidden_size=64)
    classifier = SequenceClassifier(make_stack, input_size=3, num_outputs=2, dropout=0.5)
    x = torch.randn(3, 6, 3)
    assert not torch.equal(classifier(x), classifier(x))
    classifier.eval()
    torch.testing.assert_close(classifier(x), classifier(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"pooling": "last_stat"}, r"unknown pooling 'last_stat': choose one of .*; did you mean 'last_state'\?"),
        ({"num_outputs": 0}, "num_outputs must be a whole number of at least 1, not 0"),
        ({"input_size": -1}, "input_size must be a whole number of at least 1, not -1"),
        ({"dropout": 1}, r"dropout must lie in \[0, 1\), not 1"),
    ],
)
def test_bad_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        SequenceClassifier(
            **{"make_stack": partial(RecurrentStack, "gru", hidden_size=4), "input_size": 3, "num_outputs": 2} | options
        )
