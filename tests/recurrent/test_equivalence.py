"""Fused kernels and batched steps compute the equations: outputs, states and every gradient, in double precision."""

import itertools
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnexp.recurrent import RecurrentStack
from support.cells import cells_with

BATCH, TIME, FEATURES, HIDDEN = 5, 7, 3, 4
LENGTHS = torch.tensor([7, 1, 4, 6, 2])


FUSED, BATCHED, PARALLEL = map(cells_with, ("fused", "batched", "parallel"))
OPTIONS: list[dict[str, Any]] = [
    {},
    {"layer_norm": True},
    {"residual": True},
    {"learned_initial_state": True},
    {"dropout": 0.5, "reproducible": True},
    {"dropout": 0.5, "time_tied_dropout": True},
    {"layer_norm": True, "residual": True, "learned_initial_state": True, "dropout": 0.3, "initialization": "pytorch"},
]


# Operations between layers do not depend on how one layer is computed: few combinations for the others.
ORTHOGONAL = [case for case in FUSED + BATCHED if case["cell_options"].get("orthogonal")]
CASES = [
    *itertools.product([case for case in FUSED if case not in ORTHOGONAL], OPTIONS),
    *itertools.product([case for case in BATCHED + PARALLEL if case not in ORTHOGONAL], (OPTIONS[0], OPTIONS[-1])),
    *((case, OPTIONS[-1]) for case in ORTHOGONAL if case["cell_options"]["nonlinearity"] == "tanh"),
]


def test_the_backends_were_found() -> None:
    assert {case["cell"] for case in FUSED} == {"srn", "lstm", "gru"}
    assert {"cell": "srn", "cell_options": {"nonlinearity": "relu", "orthogonal": False}, "backend": "fused"} in FUSED
    before = {"reset": "before", "layer_norm": False, "ur_gates": False}
    assert {"cell": "gru", "cell_options": before, "backend": "fused"} not in FUSED
    assert {"cell": "gru", "cell_options": before, "backend": "batched"} in BATCHED
    assert {case["cell"] for case in PARALLEL} == {"min_gru", "min_lstm"}
    assert (len(FUSED), len(BATCHED), len(ORTHOGONAL)) == (6, 6, 4)


def name(value: Any) -> str:
    return ",".join(f"{k}={v}" for k, v in value.items()) or "plain" if isinstance(value, dict) else str(value)


def weights_of(stack: RecurrentStack, std: float = 0.5) -> RecurrentStack:
    """Replace values that initialization sets to zero or one."""
    for parameter in stack.parameters():
        torch.nn.init.normal_(parameter, std=std)
    return stack


@pytest.mark.parametrize("given_state", [False, True], ids=["zeros", "state"])
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forwards", "both"])
@pytest.mark.parametrize("num_layers", [1, pytest.param(2, marks=pytest.mark.slow), 3])
@pytest.mark.parametrize(("cell", "options"), CASES, ids=name)
def test_a_backend_equals_the_reference(
    cell: dict[str, Any],
    options: dict[str, Any],
    num_layers: int,
    bidirectional: bool,
    lengths: Tensor | None,
    given_state: bool,
) -> None:
    require_equivalence(cell | options, num_layers, bidirectional, lengths, given_state)


@pytest.mark.gpu
@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forwards", "both"])
@pytest.mark.parametrize("options", [OPTIONS[0], OPTIONS[-1]], ids=name)
@pytest.mark.parametrize("cell", [*FUSED, *BATCHED, *PARALLEL], ids=name)
def test_a_backend_equals_the_reference_on_a_gpu(
    cell: dict[str, Any], options: dict[str, Any], bidirectional: bool, lengths: Tensor | None
) -> None:
    require_equivalence(cell | options, 2, bidirectional, lengths, given_state=True, device="cuda")


def require_equivalence(
    settings: dict[str, Any],
    num_layers: int,
    bidirectional: bool,
    lengths: Tensor | None,
    given_state: bool,
    device: str = "cpu",
) -> None:
    settings = settings | {"num_layers": num_layers, "bidirectional": bidirectional}
    runs = []
    torch.manual_seed(0)
    fast = weights_of(RecurrentStack(input_size=FEATURES, hidden_size=HIDDEN, **settings).double())
    settings["backend"] = "reference"
    reference = RecurrentStack(input_size=FEATURES, hidden_size=HIDDEN, **settings).double()
    reference.load_state_dict(fast.state_dict())
    shape = (num_layers, BATCH, fast.output_size)
    x = torch.randn(BATCH, TIME, FEATURES, dtype=torch.double).to(device)
    starts = [torch.randn(shape, dtype=torch.double).to(device) for _ in range(fast.num_states)]
    into_outputs = torch.randn(BATCH, TIME, fast.output_size, dtype=torch.double).to(device)
    into_state = torch.randn(shape, dtype=torch.double).to(device)

    for stack in (fast.to(device), reference.to(device)):
        torch.manual_seed(1)  # the dropout masks
        leaf = x.clone().requires_grad_()
        state = tuple(start.clone().requires_grad_() for start in starts)
        outputs, final = stack(leaf, lengths, state if given_state else None)
        assert [tensor.shape for tensor in final] == [shape] * stack.num_states
        assert stack.last_backend == stack.backend
        ((outputs * into_outputs).sum() + sum((tensor * into_state).sum() for tensor in final)).backward()
        gradients = {key: parameter.grad for key, parameter in stack.named_parameters()}
        runs.append((outputs, final, leaf.grad, [start.grad for start in state], gradients))

    (outputs, final, x_grad, state_grads, gradients), (*expected, expected_gradients) = runs
    torch.testing.assert_close([outputs, *final, x_grad], [expected[0], *expected[1], expected[2]])
    assert list(gradients) == list(expected_gradients)
    if given_state:
        torch.testing.assert_close(state_grads, expected[3])
    for key, gradient in gradients.items():
        if given_state and key == "initial_state":
            assert gradient is None
            assert expected_gradients[key] is None
        else:
            assert gradient is not None
            torch.testing.assert_close(gradient, expected_gradients[key], msg=lambda m, key=key: f"{key}: {m}")


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
@pytest.mark.parametrize(("cell", "bidirectional"), list(itertools.product(("srn", "lstm", "gru"), (False, True))))
def test_one_kernel_for_all_layers_equals_one_per_layer(cell: str, bidirectional: bool, lengths: Tensor | None) -> None:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"cell": cell, "input_size": FEATURES, "hidden_size": HIDDEN, "num_layers": 3}
    settings |= {"bidirectional": bidirectional, "dropout": 0.5}
    whole = RecurrentStack(**settings).double().eval()
    layered = RecurrentStack(**settings, reproducible=True).double().eval()
    assert (whole.layers_per_run, layered.layers_per_run) == (3, 1)
    layered.load_state_dict(whole.state_dict())
    x = torch.randn(BATCH, TIME, FEATURES, dtype=torch.double)
    torch.testing.assert_close(layered(x, lengths), whole(x, lengths))
