"""Zoneout: numbers of the state keep their old values, at random in training and in the mean otherwise."""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnexp.recurrent import CELLS, RecurrentStack
from rnnexp.recurrent.cells import make_cell
from rnnexp.recurrent.scan import with_zoneout

LENGTHS = torch.tensor([7, 1, 4, 6, 2])
WITH_ZONEOUT = [name for name in CELLS if make_cell(name).cell.separable]


def test_all_but_the_slstm_have_it() -> None:
    assert set(CELLS) - set(WITH_ZONEOUT) == {"slstm"}


def test_in_evaluation_the_state_is_a_mean() -> None:
    """Scalar arithmetic: two steps of an LSTM with one unit, whose weights are all 0.5 and whose biases are zero."""
    stack = RecurrentStack("lstm", 1, 1, zoneout=[0.25, 0.75]).double().eval()
    with torch.no_grad():
        for name, parameter in stack.named_parameters():
            parameter.fill_(0.5 if name.startswith("weight") else 0.0)
    h = c = 0.0
    for x in (2.0, -1.0):
        a = 0.5 * x + 0.5 * h
        gate = 1 / (1 + math.exp(-a))
        new_c = gate * c + gate * math.tanh(a)
        # The new h is that of the new c, before zoneout (Krueger et al., 2017, section 3).
        h, c = 0.25 * h + 0.75 * gate * math.tanh(new_c), 0.75 * c + 0.25 * new_c
    _, (h_out, c_out) = stack(torch.tensor([[[2.0], [-1.0]]], dtype=torch.double))
    assert (h_out.item(), c_out.item()) == (pytest.approx(h, rel=1e-12), pytest.approx(c, rel=1e-12))


def test_in_training_numbers_are_kept() -> None:
    stack = RecurrentStack("srn", 3, 4, zoneout=0.4)
    x = torch.randn(6, 5, 3)
    torch.manual_seed(3)
    outputs, (final,) = stack(x)
    torch.manual_seed(3)
    h = torch.zeros(6, 4)
    for t, step in enumerate(x.unbind(1)):
        new = torch.tanh(step @ stack.weight_ih_l0.T + h @ stack.weight_hh_l0.T)
        h = torch.where(torch.rand(6, 4) < 0.4, h, new)
        torch.testing.assert_close(outputs[:, t], h)
    torch.testing.assert_close(final[0], h)
    assert 0.2 < (outputs[:, 1:] == outputs[:, :-1]).float().mean() < 0.6


def run(stack: RecurrentStack, x: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
    outputs, state = stack(x, lengths)
    return [outputs, *state]


@pytest.mark.parametrize("cell", WITH_ZONEOUT)
def test_every_cell_has_both_forms(cell: str) -> None:
    """Padding has no effect, the seed decides, and without probability the network is that without zoneout."""
    torch.manual_seed(0)
    settings: dict[str, Any] = {"num_layers": 2, "bidirectional": True}
    stack = RecurrentStack(cell, 3, 4, **settings, zoneout=0.3).double()
    plain = RecurrentStack(cell, 3, 4, **settings, backend="reference").double()
    plain.load_state_dict(stack.state_dict())
    x = torch.randn(5, 7, 3, dtype=torch.double)
    runs = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        runs.append(run(stack, x, LENGTHS)[0])
    assert torch.equal(runs[0], runs[1])
    assert not torch.equal(runs[0], runs[2])
    stack.eval()
    whole = run(stack, x, LENGTHS)
    for row, length in enumerate(LENGTHS.tolist()):
        torch.testing.assert_close(whole[0][row, :length], run(stack, x[row : row + 1, :length])[0][0])
    assert not torch.allclose(whole[0], run(plain, x, LENGTHS)[0])
    stack.zoneout = (0.0,) * stack.num_states
    torch.testing.assert_close(run(stack, x, LENGTHS), run(plain, x, LENGTHS))


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("cell", ["srn", "gru", "lstm"])
def test_gradients_are_those_of_finite_differences(cell: str, training: bool) -> None:
    stack = RecurrentStack(cell, 2, 2, zoneout=0.4).double().train(training)
    names = [name for name, _ in stack.named_parameters()]

    def with_weights(x: Tensor, *weights: Tensor) -> Tensor:
        torch.manual_seed(0)
        named = dict(zip(names, weights, strict=True))
        outputs: Tensor = torch.func.functional_call(stack, named, (x, torch.tensor([3, 2])))[0]
        return outputs

    inputs = [torch.randn(2, 3, 2, dtype=torch.double).requires_grad_(), *stack.parameters()]
    assert torch.autograd.gradcheck(with_weights, inputs)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"zoneout": 1.0}, r"zoneout must lie in \[0, 1\), not 1.0"),
        ({"zoneout": "a"}, r"zoneout must lie in \[0, 1\), not 'a'"),
        ({"zoneout": [0.1]}, "zoneout has 1 values, but cell 'lstm' has 2 state tensors"),
        ({"zoneout": [0.1, -0.1]}, r"zoneout must lie in \[0, 1\), not -0.1"),
        ({"zoneout": 0.1, "cell": "slstm"}, "cell 'slstm' has no zoneout: the tensors of its state mean nothing alone"),
        ({"zoneout": 0.1, "backend": "fused"}, "unknown backend with zoneout 'fused': choose one of auto, reference"),
    ],
)
def test_what_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        RecurrentStack(**{"cell": "lstm", "input_size": 3, "hidden_size": 4} | settings)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_the_probability_is_the_same_at_every_precision(dtype: torch.dtype) -> None:
    """Random numbers of bfloat16 have steps of 1/256."""
    size, probability = 400_000, 0.001
    step = with_zoneout(lambda x, *_: (x,), [probability], training=True)
    torch.manual_seed(1)
    ones = torch.ones(1, size, dtype=dtype)
    (kept,) = step(ones, (0 * ones,), None)
    assert 1 - float(kept.double().mean()) == pytest.approx(probability, abs=5 * math.sqrt(probability / size))


def test_without_probability_every_backend_remains() -> None:
    assert RecurrentStack("slstm", 3, 4, zoneout=0.0).backend == "auto"
    assert RecurrentStack("lstm", 3, 4, zoneout=[0.0, 0.0], backend="fused").backend == "fused"
    assert RecurrentStack("lstm", 3, 4, zoneout=[0.0, 0.1]).backend == "reference"
