"""A layer as CUDA graphs: equality with the loop, several passes at once, copies, and cells that are not captured."""

import copy
import pickle
import warnings
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnexp.recurrent import RecurrentStack, graphs
from rnnexp.recurrent.cells import Cell, Recurrence, State

LENGTHS = torch.tensor([11, 3, 7, 9, 2])
CELLS: list[dict[str, Any]] = [
    {"cell": "srn"},
    {"cell": "lstm"},
    {"cell": "gru"},
    {"cell": "gru", "cell_options": {"reset": "before"}},
]
OPTIONS: list[dict[str, Any]] = [
    {},
    {"num_layers": 2, "bidirectional": True, "layer_norm": True, "learned_initial_state": True},
]


def make_stack(backend: str, device: str = "cuda", **options: Any) -> RecurrentStack:
    torch.manual_seed(0)
    return RecurrentStack(**{"input_size": 3, "hidden_size": 16, "backend": backend} | options).to(device)


def sequences(seed: int = 0, device: str = "cuda", dtype: torch.dtype = torch.float32) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(5, 11, 3, generator=generator).to(device, dtype).requires_grad_()


def passes(stack: RecurrentStack, x: Tensor, lengths: Tensor | None = None) -> list[Tensor]:
    """Return outputs, final state and all gradients of a loss of both."""
    outputs, state = stack(x, lengths)
    loss = outputs.square().sum() + sum(tensor.pow(3).sum() for tensor in state)
    return [outputs, *state, *torch.autograd.grad(loss, [x, *stack.parameters()])]


def test_on_a_cpu_the_loop_runs() -> None:
    stack = make_stack("graph", "cpu", cell="lstm")
    expected = passes(make_stack("reference", "cpu", cell="lstm"), sequences(device="cpu"))
    torch.testing.assert_close(passes(stack, sequences(device="cpu")), expected)
    assert stack.last_backend == "reference"


def test_copies_have_no_graphs() -> None:
    stack = make_stack("graph", "cpu", cell="lstm")
    for copied in (copy.deepcopy(stack), pickle.loads(pickle.dumps(stack))):
        assert isinstance(copied._graphs, graphs.Graphs)
        assert copied._graphs is not stack._graphs


@pytest.mark.gpu
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64], ids=str)
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
@pytest.mark.parametrize("options", OPTIONS, ids=["plain", "all options"])
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_graph_equals_the_loop(
    cell: dict[str, Any], options: dict[str, Any], lengths: Tensor | None, dtype: torch.dtype
) -> None:
    stack, loop = (make_stack(backend, **cell, **options).to(dtype) for backend in ("graph", "reference"))
    tolerance = {torch.float32: 1e-4, torch.float64: 1e-9}[dtype]
    for seed in (0, 1):
        results = passes(stack, sequences(seed, dtype=dtype), lengths)
        expected = passes(loop, sequences(seed, dtype=dtype), lengths)
        torch.testing.assert_close(results, expected, rtol=tolerance, atol=tolerance)
    assert stack.last_backend == "graph"
    with torch.inference_mode():
        x = sequences(2, dtype=dtype)
        torch.testing.assert_close(stack(x, lengths), loop(x, lengths), rtol=tolerance, atol=tolerance)


def relative_error(results: list[Tensor], exact: list[Tensor]) -> float:
    found, true = (
        torch.cat([tensor.detach().double().flatten() for tensor in tensors]) for tensors in (results, exact)
    )
    return float((found - true).norm() / true.norm())


@pytest.mark.gpu
@pytest.mark.parametrize("is_mixed", [False, True], ids=["true", "mixed"])
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16], ids=str)
@pytest.mark.parametrize("cell", CELLS, ids=str)
def test_a_graph_in_half_precision_errs_as_little_as_the_loop(
    cell: dict[str, Any], dtype: torch.dtype, is_mixed: bool
) -> None:
    results = {}
    for backend in ("graph", "reference"):
        stack = make_stack(backend, **cell)
        given = torch.float32 if is_mixed else dtype
        with torch.autocast("cuda", dtype=dtype, enabled=is_mixed):
            results[backend] = passes(stack.to(given), sequences(dtype=given))
        assert stack.last_backend == backend
        assert results[backend][0].dtype == dtype
    exact = passes(make_stack("reference", **cell).double(), sequences(dtype=torch.float64))
    graph, loop = (relative_error(results[backend], exact) for backend in ("graph", "reference"))
    assert graph < 1.5 * loop + 1e-3


@pytest.mark.gpu
def test_a_graph_without_triton_equals_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(graphs, "find_spec", lambda _: None)
    stack, loop = make_stack("graph", **CELLS[3]), make_stack("reference", **CELLS[3])
    torch.testing.assert_close(passes(stack, sequences()), passes(loop, sequences()), rtol=1e-4, atol=1e-4)
    assert stack.last_backend == "graph"


@pytest.mark.gpu
def test_a_second_pass_before_the_backward_pass_of_the_first() -> None:
    stack, loop = make_stack("graph", cell="lstm"), make_stack("reference", cell="lstm")
    gradients = []
    for each in (stack, loop):
        first, second = (each(sequences(seed))[0] for seed in (0, 1))
        loss = (first * second).sum() + first.square().sum()
        gradients.append(torch.autograd.grad(loss, list(each.parameters())))
    torch.testing.assert_close(*gradients, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
def test_gradients_accumulate_over_passes() -> None:
    stack, loop = make_stack("graph", cell="lstm"), make_stack("reference", cell="lstm")
    for each in (stack, loop):
        for seed in range(3):
            each(sequences(seed))[0].square().sum().backward()
    for name, parameter in stack.named_parameters():
        torch.testing.assert_close(parameter.grad, loop.get_parameter(name).grad, rtol=1e-4, atol=1e-4)


@pytest.mark.gpu
def test_results_are_not_overwritten_by_the_next_pass() -> None:
    stack = make_stack("graph", cell="lstm")
    outputs, _ = stack(sequences(0))
    before = outputs.clone()
    stack(sequences(1))
    assert torch.equal(outputs, before)


@pytest.mark.gpu
def test_a_second_backward_pass_that_comes_too_late_is_refused() -> None:
    stack = make_stack("graph", cell="lstm")
    loss = stack(sequences(0))[0].sum()
    loss.backward(retain_graph=True)
    loss.backward(retain_graph=True)
    stack(sequences(1))[0].sum().backward()
    with pytest.raises(RuntimeError, match="second backward pass"):
        loss.backward()


@pytest.mark.gpu
def test_second_derivatives() -> None:
    results = []
    for backend in ("graph", "reference"):
        stack = make_stack(backend, cell="lstm").double()
        x = sequences(dtype=torch.float64)
        (by_x,) = torch.autograd.grad(stack(x)[0].square().sum(), x, create_graph=True)
        results.append(torch.autograd.grad(by_x.square().sum(), list(stack.parameters())))
    torch.testing.assert_close(*results)


@pytest.mark.gpu
def test_new_weights_and_moves_count() -> None:
    stack, loop = make_stack("graph", cell="lstm"), make_stack("reference", cell="lstm")
    passes(stack, sequences())
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.mul_(0.5)
    loop.load_state_dict(stack.state_dict())
    expected = passes(loop, sequences())
    for each in (stack, copy.deepcopy(stack), stack.cpu().cuda()):
        torch.testing.assert_close(passes(each, sequences()), expected, rtol=1e-4, atol=1e-4)


def reads_a_value(x: Tensor, state: State, recur: Recurrence) -> State:
    h = torch.tanh(x + recur(state[0]))
    return (h if float(h.detach().sum()) > -1e9 else -h,)


@pytest.mark.gpu
def test_a_step_that_reads_a_value_runs_in_a_loop() -> None:
    stack = make_stack("auto", cell=Cell(reads_a_value, gates=1))
    with pytest.warns(UserWarning, match="run in a loop"):
        results = passes(stack, sequences())
    assert stack.last_backend == "reference"
    expected = passes(make_stack("reference", cell="srn"), sequences())
    torch.testing.assert_close(results, expected, rtol=1e-4, atol=1e-4)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        passes(stack, sequences())
    torch.cuda.synchronize()
    passes(make_stack("graph", cell="lstm"), sequences())


@pytest.mark.gpu
def test_auto_chooses_a_graph_without_a_kernel_and_in_bfloat16() -> None:
    stack = make_stack("auto", **CELLS[3])
    passes(stack, sequences())
    assert stack.last_backend == "graph"
    passes(stack, sequences()[:, :4].detach().requires_grad_())
    assert stack.last_backend == "reference"
    for cell in CELLS:
        stack = make_stack("auto", **cell)
        with torch.autocast("cuda", dtype=torch.bfloat16):
            passes(stack, sequences())
        assert stack.last_backend == "graph"
