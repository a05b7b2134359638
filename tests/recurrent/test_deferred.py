"""The scan with deferred gradients: products, and equality with the reference for cells of any form."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnexp.compat.torch_compile import many_compilations
from rnnexp.recurrent import RecurrentStack
from rnnexp.recurrent.cells import Cell, Parameter, Recurrence, State, make_cell
from rnnexp.recurrent.deferred import STEPS_AT_ONCE, DeferredLayer, Product, products_of, run_steps
from rnnexp.recurrent.layout import make_mask
from rnnexp.recurrent.scan import scan_layer
from support.cells import every_cell

TIME = 2 * STEPS_AT_ONCE + 1
LENGTHS = torch.tensor([TIME, 1, 4, 6, 2])


def peephole(x: Tensor, state: State, recur: Recurrence, peephole: Tensor) -> State:
    h, c = state
    i_x, f_x, c_x = x.chunk(3, dim=-1)
    f = torch.sigmoid(f_x + recur.gates[1](h) + peephole * c)
    i = torch.sigmoid(i_x + recur.gates[0](h))
    c = f * c + i * torch.tanh(c_x + recur.gates[2](c))
    return torch.tanh(c), c


def without_product(x: Tensor, state: State, recur: None, decay: Tensor) -> State:  # noqa: ARG001
    (h,) = state
    return (torch.tanh(x + decay * h),)


def same_gate_twice(x: Tensor, state: State, recur: Recurrence) -> State:
    (h,) = state
    return (torch.tanh(x + recur(torch.tanh(recur(h)))),)


def with_its_weight(x: Tensor, state: State, recur: Recurrence) -> State:
    (h,) = state
    return (torch.tanh(x + h @ recur.weight.t()),)


OWN: dict[str, Cell] = {
    "peephole": Cell(peephole, gates=3, states=2, parameters={"peephole": Parameter(lambda size: (size,))}),
    "without U": Cell(
        without_product, gates=1, weights=("weight_ih", "bias_ih"), parameters={"decay": Parameter(lambda n: (n,))}
    ),
    "without d": Cell(same_gate_twice, gates=1, weights=("weight_ih", "weight_hh")),
}
CELLS = OWN | {
    " ".join(
        [case["cell"], *(key if value is True else value for key, value in case["cell_options"].items() if value)]
    ): make_cell(case["cell"], case["cell_options"]).cell
    for case in every_cell()
}


def test_calls_with_one_term_are_one_product() -> None:
    assert products_of(CELLS["lstm"]) == (Product(slice(0, 4), (0,)),)
    assert products_of(CELLS["gru before"]) == (Product(slice(0, 2), (0, 1)), Product(slice(2, 3), (2,)))
    assert products_of(OWN["peephole"]) == (Product(slice(0, 2), (0, 1)), Product(slice(2, 3), (2,)))
    assert products_of(OWN["without d"]) == (Product(slice(0, 1), (0,)), Product(slice(0, 1), (1,)))
    assert products_of(OWN["without U"]) == ()


def test_a_step_that_computes_with_the_weight_is_not_observed() -> None:
    assert products_of(Cell(with_its_weight, gates=1)) is None


def gradients_of(
    cell: Cell, bidirectional: bool, lengths: Tensor | None, run: Any = run_steps
) -> tuple[list[Tensor | None], list[Tensor | None]]:
    """Return results and gradients of a layer: deferred, and by autograd."""
    torch.manual_seed(0)
    stack = RecurrentStack(cell, 3, 4, bidirectional=bidirectional).double()
    for parameter in stack.parameters():
        nn.init.normal_(parameter, std=0.5)
    x = torch.randn(5, TIME, 3, dtype=torch.double, requires_grad=True)
    shape = (stack.directions, 5, 4)
    state = tuple(torch.randn(shape, dtype=torch.double, requires_grad=True) for _ in range(cell.states))
    weights = stack.layer_weights(0)
    inputs = [x, *state, *(tensor for named in weights for tensor in named.values())]
    mask = None if lengths is None else make_mask(lengths, x)
    outputs, final = scan_layer(cell, x, mask, state, weights)
    expected = [outputs, *final]
    by_results = [torch.randn_like(result) for result in expected]
    layer = DeferredLayer(cell, stack.directions, run)
    results = [*layer.forward(inputs, mask)]
    return [*results, *layer.backward(by_results)], [*expected, *torch.autograd.grad(expected, inputs, by_results)]


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forwards", "both"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_deferred_gradients_are_those_of_autograd(cell: Cell, bidirectional: bool, lengths: Tensor | None) -> None:
    deferred, by_autograd = gradients_of(cell, bidirectional, lengths)
    torch.testing.assert_close(deferred, by_autograd)


@pytest.mark.slow
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
@pytest.mark.parametrize("cell", CELLS.values(), ids=CELLS)
def test_every_step_can_be_compiled(cell: Cell, lengths: Tensor | None) -> None:
    with many_compilations():
        compiled = torch.compile(run_steps, dynamic=False, fullgraph=True, backend="aot_eager")
        deferred, by_autograd = gradients_of(cell, bidirectional=False, lengths=lengths, run=compiled)
    torch.testing.assert_close(deferred, by_autograd)


def test_inputs_without_gradient_get_none() -> None:
    layer = DeferredLayer(CELLS["srn tanh"], 1)
    shapes = [(2, TIME, 3), (1, 2, 4), *CELLS["srn tanh"].weight_shapes(3, 4).values()]
    inputs = [torch.randn(shape).requires_grad_(number > 1) for number, shape in enumerate(shapes)]
    results = layer.forward(inputs, None)
    gradients = layer.backward([torch.ones_like(result) for result in results])
    assert [gradient is None for gradient in gradients] == [True, True, False, False, False, False]


def test_without_gradients_nothing_is_kept() -> None:
    layer = DeferredLayer(CELLS["lstm"], 1)
    shapes = [(2, TIME, 3), (1, 2, 4), (1, 2, 4), *CELLS["lstm"].weight_shapes(3, 4).values()]
    with torch.no_grad():
        results = layer.forward([torch.randn(shape) for shape in shapes], None)
    assert not any(result.requires_grad for result in results)
