"""The gradient through time, compared with an unrolled computation and with known values of simple weights."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnexp.recurrent import Cell, RecurrentStack
from rnnexp.recurrent.cells import SATURATED, make_cell
from rnnexp.recurrent.cells.standard import srn_tanh
from rnnexp.recurrent.gradient_flow import (
    first_over_last,
    gradient_norms,
    mean_over_running,
    recorded,
    saturation,
    spectral_radii,
)
from support.cells import every_cell

BATCH, TIME, FEATURES, HIDDEN = 4, 6, 3, 5
LENGTHS = torch.tensor([6, 1, 4, 2])
KERNELS: list[dict[str, Any]] = [
    {"cell": "srn"},
    {"cell": "srn", "cell_options": {"nonlinearity": "relu"}},
    {"cell": "lstm"},
    {"cell": "gru"},
]
EVERY = [*KERNELS, {"cell": "gru", "cell_options": {"reset": "before"}}]


def case_name(case: dict[str, Any]) -> str:
    return "-".join([case["cell"], *case.get("cell_options", {}).values()])


class GRUBefore(nn.GRUCell):
    """Cho et al. (2014), written a second time: r scales h before the product, z replaces it."""

    def forward(self, x: Tensor, h: Tensor) -> Tensor:  # type: ignore[override]
        w, u = self.weight_ih.chunk(3), self.weight_hh.chunk(3)
        b, d = self.bias_ih.chunk(3), self.bias_hh.chunk(3)
        r = (x @ w[0].T + b[0] + h @ u[0].T + d[0]).sigmoid()
        z = (x @ w[1].T + b[1] + h @ u[1].T + d[1]).sigmoid()
        return (1 - z) * h + z * (x @ w[2].T + b[2] + (r * h) @ u[2].T + d[2]).tanh()


def single_step(stack: RecurrentStack, layer: int, suffix: str) -> nn.RNNCellBase:
    """Return torch's module for one step with the weights of the stack."""
    kinds: dict[tuple[str, str | None], Callable[..., nn.RNNCellBase]] = {
        ("lstm", None): nn.LSTMCell,
        ("gru", "after"): nn.GRUCell,
        ("gru", "before"): GRUBefore,
    }
    size = stack.output_size if layer else FEATURES
    make = kinds.get((stack.cell_name, stack.cell_options.get("reset")), nn.RNNCell)
    options = {key: value for key, value in stack.cell_options.items() if key == "nonlinearity"}
    module = make(size, HIDDEN, **options).double()
    names = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    module.load_state_dict({name: getattr(stack, f"{name}_l{layer}{suffix}").detach() for name in names})
    return module


def norms_by_hand(stack: RecurrentStack, x: Tensor, into_outputs: Tensor) -> Tensor:
    """Return ||dL/dh_t|| [layers, time] of one sequence, L = sum of outputs * into_outputs, both [time, features]."""
    kept = []
    inputs = list(x)
    for layer in range(stack.num_layers):
        sides = []
        for suffix in ("", "_reverse")[: stack.directions]:
            module = single_step(stack, layer, suffix)
            zeros = x.new_zeros(1, HIDDEN)
            state: Any = (zeros, zeros) if stack.num_states == 2 else zeros
            hs = []
            for step in reversed(inputs) if suffix else inputs:
                state = module(step.unsqueeze(0), state)
                h = state[0] if stack.num_states == 2 else state
                h.retain_grad()
                hs.append(h)
            sides.append(hs[::-1] if suffix else hs)
        kept.append(sides[0])
        inputs = [torch.cat(step, dim=1)[0] for step in zip(*sides, strict=True)]
    (torch.stack(inputs) * into_outputs).sum().backward()
    return torch.tensor([[float(torch.linalg.vector_norm(h.grad)) for h in hs] for hs in kept], dtype=torch.double)


def random_stack(**settings: Any) -> RecurrentStack:
    torch.manual_seed(0)
    stack = RecurrentStack(input_size=FEATURES, hidden_size=HIDDEN, **settings).double()
    for parameter in stack.parameters():
        nn.init.normal_(parameter, std=0.5)
    return stack


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forwards", "both"])
@pytest.mark.parametrize("num_layers", [1, 2])
@pytest.mark.parametrize("cell", EVERY, ids=case_name)
def test_the_gradient_is_that_of_torchs_single_steps(
    cell: dict[str, Any], num_layers: int, bidirectional: bool, lengths: Tensor | None
) -> None:
    stack = random_stack(**cell, num_layers=num_layers, bidirectional=bidirectional)
    x = torch.randn(BATCH, TIME, FEATURES, dtype=torch.double)
    into_outputs = torch.randn(BATCH, TIME, stack.output_size, dtype=torch.double)
    with recorded(stack) as steps:
        outputs, _ = stack(x, lengths)
    norms = gradient_norms((outputs * into_outputs).sum(), stack, steps)
    torch.testing.assert_close(outputs, stack(x, lengths)[0])

    expected = torch.zeros(num_layers, TIME, BATCH, dtype=torch.double)
    for row, length in enumerate([TIME] * BATCH if lengths is None else lengths.tolist()):
        expected[:, :length, row] = norms_by_hand(stack, x[row, :length], into_outputs[row, :length])
    assert (norms > 0).sum() == num_layers * steps.mask.sum()
    torch.testing.assert_close(norms, expected)


def test_the_bias_gradient_of_the_fused_kernel_follows_from_them() -> None:
    """The gradient dL/dd of an SRN is the sum over t of dL/dh_t * (1 - h_t^2), and equals that of the kernel."""
    stack = random_stack(cell="srn", num_layers=2)
    x = torch.randn(BATCH, TIME, FEATURES, dtype=torch.double)
    stack(x)[0].square().sum().backward()
    with recorded(stack) as steps:
        loss = stack(x)[0].square().sum()
    for layer in range(2):
        h = [step.h for step in steps.scan(layer)]
        through_tanh = [
            gradient * (1 - value**2)
            for value, gradient in zip(h, torch.autograd.grad(loss, h, retain_graph=True), strict=True)
        ]
        torch.testing.assert_close(torch.stack(through_tanh).sum(dim=(0, 1)), getattr(stack, f"bias_hh_l{layer}").grad)


def test_layers_with_layer_norm_and_residual() -> None:
    stack = random_stack(cell="gru", num_layers=3, layer_norm=True, residual=True, learned_initial_state=True)
    x = torch.randn(BATCH, TIME, FEATURES, dtype=torch.double)
    with recorded(stack) as steps:
        outputs, (h,) = stack(x, lengths=LENGTHS)
    torch.testing.assert_close(outputs, stack(x, LENGTHS)[0])
    torch.testing.assert_close(torch.stack([step.h for step in steps.scan(2)])[LENGTHS - 1, range(BATCH)], h[2])
    assert gradient_norms(outputs.sum(), stack, steps).shape == (3, TIME, BATCH)


def test_the_stack_is_unchanged_after_recording() -> None:
    stack = random_stack(cell="gru")
    before, x = dict(vars(stack)), torch.randn(BATCH, TIME, FEATURES, dtype=torch.double)
    random_state = torch.get_rng_state()
    with recorded(stack) as steps:
        gradient_norms(stack(x)[0].sum(), stack, steps)
    with pytest.raises(ValueError, match="x must be"), recorded(stack):
        stack(x[:, :, :1])
    assert vars(stack) == before
    assert not stack._forward_pre_hooks
    assert not stack._forward_pre_hooks_with_kwargs
    assert all(parameter.grad is None for parameter in stack.parameters())
    assert torch.equal(torch.get_rng_state(), random_state)


def test_steps_that_do_not_reach_the_loss_have_no_gradient() -> None:
    stack = random_stack(cell="lstm")
    with recorded(stack) as steps:
        outputs, _ = stack(torch.randn(BATCH, TIME, FEATURES, dtype=torch.double))
    norms = gradient_norms(outputs[:, 2].sum(), stack, steps)
    assert (norms[0, :3] > 0).all()
    assert (norms[0, 3:] == 0).all()


def test_the_last_of_several_passes_is_kept() -> None:
    stack = random_stack(cell="srn")
    with recorded(stack) as steps:
        stack(torch.randn(2, 9, FEATURES, dtype=torch.double))
        outputs, _ = stack(torch.randn(BATCH, TIME, FEATURES, dtype=torch.double))
    assert gradient_norms(outputs.sum(), stack, steps).shape == (1, TIME, BATCH)


def test_a_linear_memory_decays_at_the_rate_of_its_eigenvalue() -> None:
    """h = relu(u h) of one positive unit: dh_T/dh_t = u^(T - t)."""
    stack = RecurrentStack("srn", 1, 1, cell_options={"nonlinearity": "relu"}).double()
    with torch.no_grad():
        for weight, value in zip(stack.parameters(), (1.0, 0.5, 1.0, 0.0), strict=True):
            weight.fill_(value)
    with recorded(stack) as steps:
        outputs, _ = stack(torch.ones(2, TIME, 1, dtype=torch.double))
    norms = gradient_norms(outputs[:, -1].sum(), stack, steps)
    torch.testing.assert_close(norms[0, :, 0], 0.5 ** torch.arange(TIME - 1, -1, -1, dtype=torch.double))
    assert first_over_last(norms[0], steps.mask).item() == pytest.approx(0.5 ** (TIME - 1))


def test_a_norm_whose_square_underflows_is_measured() -> None:
    stack = RecurrentStack("srn", 1, 1)
    with recorded(stack) as steps:
        outputs, _ = stack(torch.ones(1, 1, 1))
    assert gradient_norms(outputs.sum() * 1e-30, stack, steps).item() == pytest.approx(1e-30)


def test_means_are_over_sequences_that_still_run() -> None:
    norms = torch.tensor([[8.0, 2.0], [4.0, 0.0]], dtype=torch.double)
    inside = torch.tensor([[True, True], [True, False]])
    assert mean_over_running(norms, inside).tolist() == [5, 4]
    assert first_over_last(norms, inside).item() == 5 / 3


@pytest.mark.parametrize("bidirectional", [False, True], ids=["forwards", "both"])
@pytest.mark.parametrize("cell", EVERY, ids=case_name)
def test_spectral_radii_of_diagonal_and_rotating_blocks(cell: dict[str, Any], bidirectional: bool) -> None:
    stack = RecurrentStack(**cell, input_size=2, hidden_size=2, num_layers=2, bidirectional=bidirectional)
    expected = [0.5 * (1 + k) for k in range(stack.cell.gates)]
    for layer in range(2):
        for reverse in (False, True)[: stack.directions]:
            weight = getattr(stack, f"weight_hh_l{layer}" + ("_reverse" if reverse else ""))
            scale = 1 + layer + 2 * reverse
            with torch.no_grad():
                for radius, block in zip(expected, weight.chunk(stack.cell.gates), strict=True):
                    # The diagonal's larger eigenvalue is negative, the rotation's are complex.
                    rotation = torch.tensor([[0.0, 1.0], [-1.0, 0.0]])
                    block.copy_(scale * radius * (rotation if reverse else torch.diag(torch.tensor([0.1, -1.0]))))
            found = spectral_radii(stack, layer, reverse)
            assert found == pytest.approx(dict(zip(stack.cell.blocks, [scale * r for r in expected], strict=True)))


def test_a_weight_that_is_not_finite_has_no_spectral_radius() -> None:
    stack = RecurrentStack("gru", 1, 2)
    with torch.no_grad():
        stack.weight_hh_l0[0, 0] = torch.nan
    radii = spectral_radii(stack, 0)
    assert radii["r"] != radii["r"]
    assert (radii["z"], radii["h~"]) == pytest.approx((1, 1))


def with_biases(cell: dict[str, Any], *biases: float) -> RecurrentStack:
    """Return a stack whose blocks depend only on their biases."""
    stack = RecurrentStack(**cell, input_size=1, hidden_size=len(biases), num_layers=1)
    with torch.no_grad():
        for parameter in stack.parameters():
            parameter.zero_()
        stack.bias_ih_l0.copy_(torch.cat([torch.tensor(biases) * sign for sign in range(1, stack.cell.gates + 1)]))
    return stack


@pytest.mark.parametrize(
    ("cell", "biases", "expected"),
    [
        ({"cell": "srn"}, (9.0, -9.0, 1.0, 0.0), {"h": 0.5}),
        ({"cell": "srn", "cell_options": {"nonlinearity": "relu"}}, (9.0, -9.0, 1.0, 2.0), {"h": 0.25}),
        # sigmoid(2.94) = 0.950: blocks have 1, 2, 3 and 4 times the biases.
        ({"cell": "lstm"}, (3.0, -1.5, 0.8, 0.0), {"i": 0.25, "f": 0.5, "o": 0.75}),
        ({"cell": "gru"}, (3.0, -1.5, 0.8, 0.0), {"r": 0.25, "z": 0.5}),
        ({"cell": "gru", "cell_options": {"reset": "before"}}, (3.0, -1.5, 0.8, 0.0), {"r": 0.25, "z": 0.5}),
    ],
    ids=str,
)
def test_saturation_of_blocks_that_depend_only_on_biases(
    cell: dict[str, Any], biases: tuple[float, ...], expected: dict[str, float]
) -> None:
    stack = with_biases(cell, *biases)
    with recorded(stack) as steps:
        stack(torch.randn(2, 3, 1))
    assert saturation(stack, steps, 0) == expected


def test_saturation_includes_the_recurrence_and_not_the_padding() -> None:
    """One unit accumulates its input, h = relu(h + x): it is zero until the input is one."""
    stack = RecurrentStack("srn", 1, 1, cell_options={"nonlinearity": "relu"}, bidirectional=True)
    with torch.no_grad():
        for name, parameter in stack.named_parameters():
            parameter.fill_(1.0 if name.startswith("weight") else 0.0)
    x = torch.tensor([[0.0, 0.0, 1.0, 0.0], [0.0, 1.0, 9.0, 9.0]]).unsqueeze(2)
    with recorded(stack) as steps:
        stack(x, torch.tensor([4, 2]))
    assert saturation(stack, steps, 0)["h"] == pytest.approx(3 / 6)
    assert saturation(stack, steps, 0, reverse=True)["h"] == pytest.approx(1 / 6)


def test_the_table_names_every_block() -> None:
    cells = [make_cell(case["cell"], case["cell_options"]).cell for case in every_cell()]
    assert len(cells) > 15
    for cell in cells:
        assert len(cell.blocks) == cell.gates
        assert set(cell.squashed) <= set(cell.blocks)
        assert set(cell.squashed.values()) <= set(SATURATED)


def test_a_cell_without_names_is_measured_as_well() -> None:
    stack = RecurrentStack(Cell(srn_tanh, gates=1), FEATURES, HIDDEN)
    with recorded(stack) as steps:
        outputs, _ = stack(torch.randn(BATCH, TIME, FEATURES))
    assert gradient_norms(outputs.sum(), stack, steps).shape == (1, TIME, BATCH)
    assert saturation(stack, steps, 0) == {}
    assert spectral_radii(stack, 0) == pytest.approx({"0": 1.0})
