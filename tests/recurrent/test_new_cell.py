"""A new cell is one function and one row: deep, bidirectional, padded and in the classifier at once."""

import math
from functools import partial

import pytest
import torch
from torch import Tensor

from rnnexp.models import SequenceClassifier
from rnnexp.recurrent import CELLS, Cell, Recurrence, RecurrentStack, State


def minimal_gated_unit(x: Tensor, state: State, recur: Recurrence) -> State:
    """Zhou et al. (2016, arXiv:1603.09420). Blocks: f, h~."""
    (h,) = state
    f_x, h_x = x.chunk(2, dim=-1)
    f_recur, h_recur = recur.gates
    f = torch.sigmoid(f_x + f_recur(h))
    h_tilde = torch.tanh(h_x + h_recur(f * h))
    h = (1 - f) * h + f * h_tilde
    return (h,)


@pytest.fixture(autouse=True)
def row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CELLS, "mgu", Cell(minimal_gated_unit, gates=2))


def test_its_equations() -> None:
    stack = RecurrentStack("mgu", 1, 1, backend="reference")
    stack.load_state_dict(
        {
            "weight_ih_l0": torch.tensor([[0.5], [-0.7]]),
            "weight_hh_l0": torch.tensor([[0.9], [1.1]]),
            "bias_ih_l0": torch.tensor([0.1, 0.2]),
            "bias_hh_l0": torch.tensor([-0.3, 0.4]),
        }
    )
    h = 0.0
    for x in (2.0, -1.0):
        f = 1 / (1 + math.exp(-(0.5 * x + 0.1 + 0.9 * h - 0.3)))
        h = (1 - f) * h + f * math.tanh(-0.7 * x + 0.2 + 1.1 * (f * h) + 0.4)
    assert stack(torch.tensor([[[2.0], [-1.0]]]))[1][0].item() == pytest.approx(h, rel=1e-5)


def test_deep_bidirectional_and_padded() -> None:
    torch.manual_seed(0)
    stack = RecurrentStack("mgu", 3, 4, num_layers=3, bidirectional=True, backend="reference", residual=True).double()
    x, lengths = torch.randn(3, 6, 3, dtype=torch.double), torch.tensor([6, 2, 4])
    outputs, (h,) = stack(x, lengths)
    assert (outputs.shape, h.shape) == ((3, 6, 8), (3, 3, 8))
    assert sum(parameter.numel() for parameter in stack.parameters()) == 3 * 2 * 2 * (4 * 4 + 2 * 4) + 2 * 8 * (
        3 + 2 * 8
    )
    for row, length in enumerate(lengths.tolist()):
        alone, (alone_h,) = stack(x[row : row + 1, :length])
        torch.testing.assert_close(outputs[row, :length], alone[0])
        torch.testing.assert_close(h[:, row], alone_h[:, 0])


@pytest.mark.parametrize("cell", ["mgu", Cell(minimal_gated_unit, gates=2)], ids=["by name", "as an object"])
def test_it_learns_in_the_classifier(cell: str | Cell) -> None:
    """Which of two sequences began with a one: it must be carried to the end."""
    torch.manual_seed(0)
    make_stack = partial(RecurrentStack, cell, hidden_size=8, num_layers=2, bidirectional=True, backend="reference")
    classifier = SequenceClassifier(make_stack, input_size=1, num_classes=2)
    x, lengths = torch.randn(64, 6, 1), torch.randint(2, 7, (64,))
    labels = torch.arange(64) % 2
    x[:, 0, 0] = 2.0 * labels - 1
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(classifier(x, lengths), labels).backward()
        optimizer.step()
    assert (classifier(x, lengths).argmax(dim=1) == labels).float().mean() > 0.95
