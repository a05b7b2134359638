"""The scan in parallel over time: any number of steps, parts of a batch, and second derivatives."""

from collections.abc import Callable
from time import process_time
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnexp.benchmark.measurement import compare, take_turns
from rnnexp.recurrent import Cell, RecurrentStack, State, parallel
from rnnexp.recurrent.cells import make_cell
from rnnexp.recurrent.parallel import STEPS_IN_ORDER, LinearScan


def arguments(time: int, needs_gradient: bool = False) -> tuple[Tensor, Tensor, Tensor]:
    """Return a, b and the first h."""
    torch.manual_seed(0)
    made = torch.rand(time, 2, 3), torch.randn(time, 2, 3), torch.randn(2, 3)
    return tuple(tensor.double().requires_grad_(needs_gradient) for tensor in made)  # type: ignore[return-value]


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("time", [*range(1, 4 * STEPS_IN_ORDER + 4), 784])
def test_a_scan_equals_a_loop(time: int, reverse: bool) -> None:
    a, b, h = arguments(time)
    found = LinearScan.apply(a, b, h, reverse)
    for t in reversed(range(time)) if reverse else range(time):
        h = a[t] * h + b[t]
        torch.testing.assert_close(found[t], h)


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("time", [1, 2, STEPS_IN_ORDER + 2, STEPS_IN_ORDER + 3])
def test_first_and_second_derivatives_are_those_of_finite_differences(time: int, reverse: bool) -> None:
    inputs = arguments(time, needs_gradient=True)
    assert torch.autograd.gradcheck(lambda *each: LinearScan.apply(*each, reverse), inputs)
    assert torch.autograd.gradgradcheck(lambda *each: LinearScan.apply(*each, reverse), inputs)


@pytest.mark.parametrize("lengths", [None, torch.tensor([30, 1, 17, 8, 9])], ids=["full", "padded"])
@pytest.mark.parametrize("cell", ["min_gru", "min_lstm"])
def test_parts_of_a_batch_give_the_same(monkeypatch: pytest.MonkeyPatch, cell: str, lengths: Tensor | None) -> None:
    results = []
    for numbers in (parallel.NUMBERS_AT_ONCE, 2 * 30 * 4):
        monkeypatch.setattr(parallel, "NUMBERS_AT_ONCE", numbers)
        torch.manual_seed(0)
        stack = RecurrentStack(cell, 3, 4, num_layers=2, bidirectional=True).double()
        outputs, (h,) = stack(torch.randn(5, 30, 3, dtype=torch.double), lengths)
        (outputs.square().sum() + h.sum()).backward()
        assert stack.last_backend == "parallel"
        results.append([outputs, h, *(parameter.grad for parameter in stack.parameters())])
    torch.testing.assert_close(results[0], results[1])


@pytest.mark.slow
@pytest.mark.parametrize(("batch", "least"), [(1, 3.0), (16, 1.3), (128, 1.05)])
@pytest.mark.parametrize("cell", ["min_gru", "min_lstm"])
def test_it_takes_less_time_than_the_loop(cell: str, batch: int, least: float) -> None:
    """Forward and backward over 784 steps with 128 units, in CPU time of one thread, in turns."""
    x, by_outputs = torch.randn(batch, 784, 1), torch.randn(batch, 784, 128)

    def timer(backend: str) -> Callable[[], float]:
        stack = RecurrentStack(cell, 1, 128, backend=backend)

        def measure() -> float:
            start = process_time()
            stack(x)[0].backward(by_outputs)
            return process_time() - start

        return measure

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        measured = take_turns({backend: timer(backend) for backend in ("reference", "parallel")}, 6)
    finally:
        torch.set_num_threads(threads)
    assert compare(measured["reference"][1:], measured["parallel"][1:])["median"] > least


def test_one_step_runs_in_a_loop() -> None:
    stack = RecurrentStack("min_gru", 3, 4)
    stack(torch.randn(2, 1, 3))
    assert stack.last_backend == "reference"


def test_a_cell_of_the_user_runs_in_parallel() -> None:
    def leaky(x: Tensor, state: State, recur: None) -> State:  # noqa: ARG001
        return (0.9 * state[0] + x,)

    settings: dict[str, Any] = {"gates": 1, "weights": ("weight_ih",)}
    stack = RecurrentStack(Cell(leaky, coefficients=lambda x: (torch.full_like(x, 0.9), x), **settings), 1, 2)
    x = torch.randn(2, 50, 1)
    outputs, _ = stack(x)
    assert stack.last_backend == "parallel"
    loop = RecurrentStack(Cell(leaky, **settings), 1, 2)
    loop.load_state_dict(stack.state_dict())
    torch.testing.assert_close(outputs, loop(x)[0])


def test_cells_that_are_not_linear_are_refused() -> None:
    with pytest.raises(ValueError, match="cell 'gru' reset=after is not linear in h: use backend=auto or reference"):
        RecurrentStack("gru", 3, 4, backend="parallel")
    with pytest.raises(ValueError, match="only cells of one state with W and b alone can have coefficients"):
        Cell(make_cell("srn").cell.step, gates=1, coefficients=lambda x: (x, x))
