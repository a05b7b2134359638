"""Recurrent weights that stay orthogonal, UR gates that start uniformly, and normalized cells."""

import copy
import math
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnexp.recurrent import RecurrentStack
from rnnexp.recurrent.gradient_flow import spectral_radii

ORTHOGONAL: dict[str, Any] = {"cell": "srn", "cell_options": {"orthogonal": True}}


def recurrent_weights(stack: RecurrentStack) -> list[Tensor]:
    return [weights["weight_hh"] for layer in range(stack.num_layers) for weights in stack.layer_weights(layer)]


def require_orthogonal(stack: RecurrentStack) -> None:
    for weight in recurrent_weights(stack):
        torch.testing.assert_close(weight @ weight.t(), torch.eye(len(weight)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("initialization", ["orthogonal", "identity", "pytorch"])
@pytest.mark.parametrize("backend", ["fused", "batched", "reference"])
def test_weights_stay_orthogonal_in_training(backend: str, initialization: str) -> None:
    torch.manual_seed(0)
    settings = ORTHOGONAL | {"num_layers": 2, "bidirectional": True, "initialization": initialization}
    stack = RecurrentStack(input_size=3, hidden_size=8, backend=backend, **settings)
    require_orthogonal(stack)
    before = [weight.detach() for weight in recurrent_weights(stack)]
    optimizer = torch.optim.Adam(stack.parameters(), lr=0.05)
    for _ in range(20):
        optimizer.zero_grad()
        stack(torch.randn(4, 6, 3))[0].sin().sum().backward()
        optimizer.step()
    require_orthogonal(stack)
    assert all((old - new).abs().max() > 0.05 for old, new in zip(before, recurrent_weights(stack), strict=True))
    assert spectral_radii(stack, 1)["h"] == pytest.approx(1, abs=1e-5)
    stack.reset_parameters()
    require_orthogonal(stack)


def test_a_checkpoint_of_orthogonal_weights_loads() -> None:
    stack, other = (RecurrentStack(input_size=3, hidden_size=8, **ORTHOGONAL) for _ in range(2))
    x = torch.randn(4, 6, 3)
    assert not torch.equal(other(x)[0], stack(x)[0])
    other.load_state_dict(stack.state_dict())
    for same in (other, copy.deepcopy(stack)):
        assert torch.equal(same(x)[0], stack(x)[0])
    with pytest.raises(RuntimeError, match="only supported through state_dict"):
        pickle.dumps(stack)


def test_a_stack_without_storage_has_orthogonal_weights_of_the_same_size() -> None:
    with torch.device("meta"):
        stack = RecurrentStack(input_size=3, hidden_size=8, **ORTHOGONAL)
    sizes = [sum(map(torch.numel, each.parameters())) for each in (stack, RecurrentStack("srn", 3, 8))]
    assert sizes[0] == sizes[1]


@pytest.mark.parametrize(("cell", "gates"), [("lstm", (1, 0)), ("gru", (1, 2))])
def test_ur_gates_start_uniformly(cell: str, gates: tuple[int, int]) -> None:
    torch.manual_seed(0)
    n = 1000
    stack = RecurrentStack(cell, 1, n, cell_options={"ur_gates": True}, initialization="identity")
    biases = stack.bias_ih_l0.view(-1, n)
    main, refining = (biases[gate] for gate in gates)
    torch.testing.assert_close(refining, -main)
    values = torch.sigmoid(main).sort().values
    assert (values - torch.linspace(0, 1, n)).abs().max() < 0.05
    assert 1 / n - 1e-6 < values[0] < values[-1] < 1 - 1 / n + 1e-6
    assert not stack.bias_hh_l0.any()
    assert RecurrentStack(cell, 1, 1, cell_options={"ur_gates": True}).bias_ih_l0.isfinite().all()


@pytest.mark.parametrize("cell", ["lstm", "gru"])
def test_a_normalized_cell_is_invariant_to_the_scale_of_its_weights(cell: str) -> None:
    """Ba et al. (2016), table 1: re-scaling W or U changes nothing."""
    torch.manual_seed(0)
    stack = RecurrentStack(cell, 3, 16, cell_options={"layer_norm": True, "chrono": 30.0}, bidirectional=True).double()
    x = torch.randn(4, 6, 3, dtype=torch.double)
    state = tuple(torch.randn(1, 4, 32, dtype=torch.double) for _ in range(stack.num_states))
    before = stack(x, state=state)[0]
    with torch.no_grad():
        stack.weight_ih_l0.mul_(1000)
        stack.weight_hh_l0.mul_(1000)
    torch.testing.assert_close(stack(x, state=state)[0], before, rtol=1e-2, atol=1e-3)
    keeping = stack.beta_l0.view(-1, 16)[1]
    assert 0 <= keeping.min() < keeping.max() < math.log(30), "the chrono initialization of f and z"


def test_orthogonal_weights_are_the_first_ones_times_a_cayley_map() -> None:
    stack = RecurrentStack(input_size=3, hidden_size=4, **ORTHOGONAL).double()
    first = stack.weight_hh_l0.detach()
    lower = torch.randn(4, 4, dtype=torch.double).tril(-1)
    with torch.no_grad():
        dict(stack.named_parameters())["parametrizations.weight_hh_l0.original"].copy_(lower)
    half, eye = (lower - lower.t()) / 2, torch.eye(4, dtype=torch.double)
    torch.testing.assert_close(stack.weight_hh_l0, first @ (eye + half) @ torch.linalg.inv(eye - half))
