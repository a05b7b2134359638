"""The batched scan: chunks, gradients of parts, second derivatives, precision, and the choice of it."""

import json
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnexp.recurrent import RecurrentStack, batched
from rnnexp.recurrent.backends import MEASURED, batched_is_faster
from rnnexp.recurrent.cells import Cell

CELLS: list[dict[str, Any]] = [
    {"cell": "srn"},
    {"cell": "srn", "cell_options": {"nonlinearity": "relu"}},
    {"cell": "gru"},
    {"cell": "gru", "cell_options": {"reset": "before"}},
]
LENGTHS = torch.tensor([7, 1, 4, 6, 2])
cells = pytest.mark.parametrize("cell", CELLS, ids=str)
padded = pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])


def make_stack(backend: str = "batched", **options: Any) -> RecurrentStack:
    torch.manual_seed(0)
    stack = RecurrentStack(**{"input_size": 3, "hidden_size": 4, "backend": backend} | options).double()
    for parameter in stack.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    return stack


def sequences(requires_grad: bool = False) -> Tensor:
    generator = torch.Generator().manual_seed(1)
    return torch.randn(5, 7, 3, dtype=torch.double, generator=generator).requires_grad_(requires_grad)


def run(stack: RecurrentStack, lengths: Tensor | None, of: str = "both") -> list[Tensor]:
    """Return outputs, final state and gradients of a loss of the outputs, the final state or both."""
    x = sequences(requires_grad=True)
    outputs, (final,) = stack(x, lengths)
    loss = outputs.square().sum() * (of != "state") + final.pow(3).sum() * (of != "outputs")
    return [outputs, final, *torch.autograd.grad(loss, [x, *stack.parameters()])]


@padded
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forwards", "both"])
@pytest.mark.parametrize("rows", [1, 12])
@cells
def test_chunks_of_any_size_give_the_same(
    monkeypatch: pytest.MonkeyPatch, cell: dict[str, Any], rows: int, bidirectional: bool, lengths: Tensor | None
) -> None:
    expected = run(make_stack("reference", bidirectional=bidirectional, **cell), lengths)
    monkeypatch.setattr(batched, "ROWS_AT_ONCE", rows)
    torch.testing.assert_close(run(make_stack(bidirectional=bidirectional, **cell), lengths), expected)


@padded
@pytest.mark.parametrize("of", ["outputs", "state"])
@cells
def test_a_loss_of_one_result(cell: dict[str, Any], of: str, lengths: Tensor | None) -> None:
    x = sequences(requires_grad=True)
    found = []
    for backend in ("batched", "reference"):
        outputs, (final,) = make_stack(backend, **cell)(x, lengths)
        found.append(torch.autograd.grad((outputs if of == "outputs" else final).square().sum(), x)[0])
    torch.testing.assert_close(*found)


@padded
@cells
def test_gradients_are_those_of_finite_differences(cell: dict[str, Any], lengths: Tensor | None) -> None:
    stack = make_stack(**cell, input_size=2, hidden_size=2)
    names = [name for name, _ in stack.named_parameters()]

    def function(x: Tensor, *weights: Tensor) -> tuple[Tensor, Tensor]:
        outputs, (final,) = torch.func.functional_call(stack, dict(zip(names, weights, strict=True)), (x, lengths))
        return outputs, final

    x = sequences()[..., :2].clone().requires_grad_()
    assert torch.autograd.gradcheck(function, (x, *stack.parameters()))


@padded
@cells
def test_second_derivatives_equal_those_of_the_reference(cell: dict[str, Any], lengths: Tensor | None) -> None:
    x = sequences(requires_grad=True)
    found = []
    for backend in ("batched", "reference"):
        stack = make_stack(backend, num_layers=2, bidirectional=True, **cell)
        outputs, (final,) = stack(x, lengths)
        (gradient,) = torch.autograd.grad(outputs.square().sum() + final.sum(), x, create_graph=True)
        found.append([gradient, *torch.autograd.grad(gradient.square().sum(), list(stack.parameters()))])
    torch.testing.assert_close(*found)


@cells
def test_weights_that_are_frozen_get_no_gradient(cell: dict[str, Any]) -> None:
    stack = make_stack(**cell)
    stack.weight_hh_l0.requires_grad_(False)
    x = sequences(requires_grad=True)
    stack(x)[0].sum().backward()
    assert stack.weight_hh_l0.grad is None
    assert x.grad is not None
    with torch.no_grad():
        assert not stack(x)[0].requires_grad


@cells
def test_single_precision_is_as_exact_as_the_reference(cell: dict[str, Any]) -> None:
    """The error of a gradient is that of the same sums in another order."""
    errors = {}
    exact = run(make_stack("reference", num_layers=2, **cell), LENGTHS)[2:]
    for backend in ("batched", "reference"):
        stack = make_stack(backend, num_layers=2, **cell).float()
        x = sequences().float().requires_grad_()
        outputs, (final,) = stack(x, LENGTHS)
        loss = outputs.square().sum() + final.pow(3).sum()
        found = torch.autograd.grad(loss, [x, *stack.parameters()])
        errors[backend] = max(
            float((gradient - target).abs().max() / target.abs().max())
            for gradient, target in zip(found, exact, strict=True)
        )
    assert 0 < errors["batched"] < 2 * errors["reference"] < 1e-5


def test_batched_is_left_where_it_does_not_apply() -> None:
    stack = make_stack(cell="gru").float()
    x = sequences().float()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        stack(x)
    assert stack.last_backend == "reference"
    stack(x)
    assert stack.last_backend == "batched"


def test_a_cell_without_a_batched_step_is_refused() -> None:
    with pytest.raises(ValueError, match=r"cell 'lstm' forget_bias=1.0 has no step written by hand: use backend=auto"):
        RecurrentStack("lstm", 3, 4, backend="batched")


def test_a_cell_of_the_user_with_a_known_name_runs_its_own_equations() -> None:
    def gru_reset_after(x: Tensor, state: tuple[Tensor, ...], recur: Any) -> tuple[Tensor, ...]:
        return (torch.tanh(x + recur(state[0])),)

    stack = RecurrentStack(Cell(gru_reset_after, gates=1), 3, 128)
    stack(sequences().float())
    assert stack.last_backend == "reference"


def row(hidden_size: int, fused: float, batched: float, steps: int = 28) -> dict[str, Any]:
    milliseconds = {"fused": fused, "batched": batched, "reference": 9.0}
    return {"hidden_size": hidden_size, "steps": steps, "milliseconds": milliseconds}


def test_the_nearest_size_decides() -> None:
    rows = [row(32, fused=1, batched=2), row(256, fused=3, batched=2)]
    assert [batched_is_faster(rows, size, 28) for size in (8, 64, 128, 256, 2048)] == [False, False, True, True, True]
    assert not batched_is_faster([], 128, 28)


def test_the_nearest_number_of_steps_decides() -> None:
    short = [row(64, fused=1, batched=2), row(64, fused=3, batched=2, steps=30)]
    rows = [*short, row(64, fused=3, batched=2, steps=784)]
    assert [batched_is_faster(rows, 64, steps) for steps in (5, 29, 100, 300, 5000)] == [
        False,
        False,
        False,
        True,
        True,
    ]


def test_one_shape_that_is_slower_decides() -> None:
    assert batched_is_faster([row(64, fused=3, batched=2), row(64, fused=1.99, batched=2)], 64, 28)
    assert not batched_is_faster([row(64, fused=3, batched=2), row(64, fused=1.9, batched=2)], 64, 28)
    assert not batched_is_faster([row(64, fused=2.02, batched=2)], 64, 28), "within the noise"


def test_auto_reads_the_measurements() -> None:
    measured = json.loads(MEASURED.read_text(encoding="utf-8"))["rows"]
    assert {entry["step"] for entry in measured} == {"srn_tanh", "srn_relu", "gru_reset_after", "gru_reset_before"}
    stack = make_stack("auto", cell="gru", cell_options={"reset": "before"}, hidden_size=128).float()
    stack(sequences().float())
    with torch.no_grad():
        stack(sequences().float())
    rows = [entry for entry in measured if entry["step"] == "gru_reset_before"]
    assert stack.last_backend == ("batched" if batched_is_faster(rows, 128, 7) else "reference")
