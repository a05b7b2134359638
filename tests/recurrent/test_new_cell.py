"""A new cell is one function and one row: deep, bidirectional, padded and in the classifier."""

import copy
import math
from functools import partial
from typing import Any, Literal

import pytest
import torch
from torch import Tensor, nn

from rnnexp.models import SequenceClassifier
from rnnexp.recurrent import CELLS, Cell, Parameter, Recurrence, RecurrentStack, State
from rnnexp.recurrent.cells import make_cell
from rnnexp.recurrent.gradient_flow import gradient_norms, recorded, saturation, spectral_radii
from support import own_cells


@pytest.fixture(autouse=True)
def row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CELLS, "own", own_cells.minimal_gated_unit)


def test_its_equations() -> None:
    stack = RecurrentStack("own", 1, 1)
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
    stack = RecurrentStack("own", 3, 4, num_layers=3, bidirectional=True, residual=True).double()
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


@pytest.mark.parametrize("cell", ["own", own_cells.minimal_gated_unit], ids=["by name", "as an object"])
def test_it_learns_in_the_classifier(cell: str | Cell) -> None:
    """The class is whether a sequence began with a one, which the cell must remember to the end."""
    torch.manual_seed(0)
    make_stack = partial(RecurrentStack, cell, hidden_size=8, num_layers=2, bidirectional=True)
    classifier = SequenceClassifier(make_stack, input_size=1, num_outputs=2)
    x, lengths = torch.randn(64, 6, 1), torch.randint(2, 7, (64,))
    labels = torch.arange(64) % 2
    x[:, 0, 0] = 2.0 * labels - 1
    optimizer = torch.optim.Adam(classifier.parameters(), lr=0.02)
    for _ in range(60):
        optimizer.zero_grad()
        torch.nn.functional.cross_entropy(classifier(x, lengths), labels).backward()
        optimizer.step()
    assert (classifier(x, lengths).argmax(dim=1) == labels).float().mean() > 0.95


def minimal_gru(x: Tensor, state: State, recur: None) -> State:  # noqa: ARG001
    """Feng et al. (2024, arXiv:2410.01201): without U. Blocks: z, h~."""
    (h,) = state
    z, h_tilde = x.chunk(2, dim=-1)
    z = torch.sigmoid(z)
    return ((1 - z) * h + z * h_tilde,)


def independent(x: Tensor, state: State, recur: None, u: Tensor) -> State:  # noqa: ARG001
    """IndRNN (Li et al., 2018, arXiv:1803.04831): U is replaced by one weight per unit."""
    return (torch.relu(x + u * state[0]),)


def with_unused_parameter(x: Tensor, state: State, recur: Recurrence, u: Tensor) -> State:  # noqa: ARG001
    return (torch.tanh(x + recur(state[0])),)


MIN_GRU = Cell(
    minimal_gru,
    gates=2,
    weights=("weight_ih", "bias_ih"),
    blocks=("z", "h~"),
    squashed={"z": torch.sigmoid},
)
IND_RNN = Cell(
    independent,
    gates=1,
    weights=("weight_ih", "bias_ih"),
    parameters={"u": Parameter(lambda hidden_size: (hidden_size,), partial(nn.init.constant_, val=0.5))},
)


@pytest.mark.parametrize(
    ("cell", "names"),
    [(MIN_GRU, ["weight_ih", "bias_ih"]), (IND_RNN, ["weight_ih", "bias_ih", "u"])],
    ids=["minGRU", "IndRNN"],
)
@pytest.mark.parametrize("initialization", ["orthogonal", "pytorch"])
def test_only_declared_weights_exist(cell: Cell, names: list[str], initialization: str) -> None:
    stack = RecurrentStack(cell, 3, 4, num_layers=2, bidirectional=True, initialization=initialization)
    suffixes = ("l0", "l0_reverse", "l1", "l1_reverse")
    assert list(stack.state_dict()) == [f"{name}_{suffix}" for suffix in suffixes for name in names]
    assert stack.multiply_adds_per_step == 2 * 4 * cell.gates * (3 + 8), "no product with U"
    assert all(parameter.isfinite().all() for parameter in stack.parameters())
    outputs, state = stack(torch.randn(5, 7, 3), torch.tensor([7, 1, 4, 6, 2]))
    outputs.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in stack.parameters())
    torch.testing.assert_close(copy.deepcopy(stack).state_dict(), stack.state_dict())
    assert state[0].shape == (2, 5, 8)


@pytest.mark.parametrize(
    ("cell", "message"),
    [
        (
            Cell(minimal_gru, gates=2),
            r"cell 'minimal_gru' never uses weight_hh, bias_hh, which would be counted: declare weights=\('weight_ih', "
            r"'bias_ih'\)",
        ),
        (
            Cell(independent, gates=1, parameters=IND_RNN.parameters),
            "cell 'independent' never uses weight_hh, bias_hh",
        ),
        (
            Cell(with_unused_parameter, gates=1, parameters=IND_RNN.parameters),
            "never uses u, which would be counted: leave them out of parameters",
        ),
    ],
)
def test_a_weight_that_the_step_never_uses_is_refused(cell: Cell, message: str) -> None:
    before = torch.random.get_rng_state()
    with pytest.raises(ValueError, match=message):
        RecurrentStack(cell, 3, 4)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_a_step_that_fails_or_draws_is_left_to_the_forward_pass() -> None:
    def step(x: Tensor, state: State, recur: Recurrence) -> State:
        return (torch.tanh(x + recur(state[0])) * torch.bernoulli(torch.full(x.shape, 0.5)),)

    def fails(x: Tensor, state: State, recur: Recurrence) -> State:  # noqa: ARG001
        raise ZeroDivisionError

    assert [RecurrentStack(Cell(each, gates=1), 3, 4).cell.step for each in (step, fails)] == [step, fails]


def test_a_parameter_starts_and_acts_as_declared() -> None:
    """h_t = relu(1 + h_{t-1} / 2), where W is zero and b is one."""
    stack = RecurrentStack(IND_RNN, 1, 2)
    with torch.no_grad():
        stack.weight_ih_l0.zero_()
        stack.bias_ih_l0.fill_(1)
    outputs, _ = stack(torch.zeros(1, 3, 1))
    torch.testing.assert_close(outputs[0, :, 0], torch.tensor([1.0, 1.5, 1.75]))


def test_a_cell_without_u_is_measured() -> None:
    stack = RecurrentStack(MIN_GRU, 3, 4)
    with torch.no_grad():
        stack.weight_ih_l0.zero_()
        stack.bias_ih_l0.copy_(torch.tensor([9.0, -9.0, 0.0, 0.0, 1.0, 1.0, 1.0, 1.0]))
    with recorded(stack) as steps:
        outputs, _ = stack(torch.randn(2, 5, 3))
    assert saturation(stack, steps, 0) == {"z": 0.5}
    assert spectral_radii(stack, 0) == {}
    # dh_T/dh_t of a unit is (1 - z)^(T - t): two units have z = 1/2, and one has z near 0.
    norms = gradient_norms(outputs[:, -1].sum(), stack, steps)[0, :, 0]
    assert norms[0].item() == pytest.approx((1 + 2 * 0.5**8) ** 0.5, rel=1e-3)


def test_initialize_may_set_every_weight() -> None:
    seen: list[list[str]] = []

    def initialize(weights: Any) -> None:
        seen.append(list(weights))
        weights["bias_ih"].fill_(3.0)

    stack = RecurrentStack(Cell(own_cells.step, gates=2, initialize=initialize), 3, 4, num_layers=2)
    assert seen == [["weight_ih", "weight_hh", "bias_ih", "bias_hh"]] * 2
    assert (stack.bias_ih_l1 == 3).all()


def leaky(rate: float = 0.5, squash: Literal["tanh", "relu"] = "tanh", hold: bool = False) -> Cell:
    assert isinstance(rate, float | int)
    return Cell(own_cells.step, gates=2 + hold, blocks=(squash,) * (2 + hold))


def test_options_are_the_arguments_of_the_function() -> None:
    assert make_cell(leaky).options == {"rate": 0.5, "squash": "tanh", "hold": False}
    named = make_cell(leaky, {"hold": True, "rate": 1})
    assert (named.name, named.cell.gates) == ("leaky", 3)
    assert named.options == {"rate": 1, "squash": "tanh", "hold": True}


def needy(rate: float) -> Cell:
    return leaky(rate)


def wrong() -> Any:
    return 1


@pytest.mark.parametrize(
    ("factory", "options", "message"),
    [
        (
            leaky,
            {"rat": 1},
            r"cell 'leaky' has no option 'rat': choose one of rate, squash, hold; did you",
        ),
        (leaky, {"squash": "rleu"}, r"unknown squash 'rleu': choose one of tanh, relu; did you mean 'relu'\?"),
        (leaky, {"rate": "1"}, "rate must be float, not '1'"),
        (leaky, {"rate": True}, "rate must be float, not True"),
        (leaky, {"hold": 1}, "hold must be bool, not 1"),
        (needy, {}, "cell 'needy' is a function of rate without defaults"),
        (wrong, {}, "cell 'wrong' returns int: it must return a Cell"),
    ],
)
def test_an_option_outside_the_list_is_refused(factory: Any, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        make_cell(factory, options)


def unannotated(rate: "NotAtRunTime" = 0.5) -> "Cell":  # type: ignore[name-defined] # noqa: F821
    return leaky(rate)


def test_annotations_need_not_exist_at_run_time() -> None:
    assert make_cell(unannotated, {"rate": 0.25}).options == {"rate": 0.25}
    assert make_cell(partial(leaky, hold=True), {"rate": 0.25}).options["rate"] == 0.25


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"weights": ("weight_ih", "bias")}, "unknown weight of a cell 'bias'"),
        ({"weights": ("weight_hh", "bias_ih")}, "a cell needs weight_ih"),
        ({"weights": ("weight_ih", "bias_hh")}, "a cell needs weight_ih, and weight_hh for bias_hh"),
        ({"parameters": {"norms": Parameter(lambda size: (size,))}}, "a stack already has norms"),
        (
            {"weights": ("weight_ih",), "fused": torch.gru},
            "the kernels of torch support only cells with exactly W, U, b and d",
        ),
    ],
)
def test_a_bad_cell_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}"):
        Cell(own_cells.step, gates=2, **options)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"squashed": {"z": nn.functional.hardsigmoid}},
            r"squashed\['z'\] is hardsigmoid: choose one of torch.sigmoid, torch.tanh, torch.relu, ",
        ),
        ({"squashed": {"zz": torch.sigmoid}}, "unknown block in squashed 'zz': choose one of z, h~"),
        ({"blocks": ("z",)}, "blocks names 1 blocks, but the cell has gates=2"),
    ],
)
def test_a_block_that_cannot_be_measured_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Cell(**({"step": minimal_gru, "gates": 2, "blocks": ("z", "h~")} | settings))


def test_a_step_that_changes_its_state_in_place_is_refused() -> None:
    def halved(x: Tensor, state: State, recur: Any) -> State:
        (h,) = state
        h.mul_(0.5)
        return (torch.tanh(x + recur(h)),)

    with pytest.raises(ValueError, match=r"has no gradient: its step must make new tensors, .* \(one of the variables"):
        RecurrentStack(Cell(halved, gates=1), 3, 4)
