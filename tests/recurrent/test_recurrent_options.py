"""Initialization and dropout of the stack, and options that it refuses."""

from typing import Any

import pytest
import torch
from torch import nn

from rnnexp.recurrent import CELLS, Cell, RecurrentStack
from rnnexp.recurrent.cells import make_cell

BACKENDS = ("fused", "reference")


def blocks(stack: RecurrentStack, kind: str) -> list[torch.Tensor]:
    found = [p for name, p in stack.named_parameters() if name.startswith(kind)]
    assert len(found) == stack.num_layers * stack.directions
    return [block for parameter in found for block in parameter.detach().split(stack.hidden_size)]


@pytest.mark.parametrize("cell", [name for name in CELLS if "weight_hh" in make_cell(name).cell.weights])
def test_each_gate_starts_orthogonal(cell: str) -> None:
    stack = RecurrentStack(cell, 5, 6, num_layers=2, bidirectional=True)
    recurrent = blocks(stack, "weight_hh")
    assert len(recurrent) == 4 * make_cell(cell).cell.gates
    for block in recurrent:
        torch.testing.assert_close(block @ block.T, torch.eye(6), atol=1e-5, rtol=0)
    bounds = [(6 / (6 + width)) ** 0.5 for width in (5, 12) for _ in range(2 * make_cell(cell).cell.gates)]
    for block, bound in zip(blocks(stack, "weight_ih"), bounds, strict=True):
        assert 0.5 * bound < block.abs().max() <= bound


@pytest.mark.parametrize("cell", ["srn", "lstm", "gru"])
def test_initialization_pytorch_gives_the_weights_of_torch(cell: str) -> None:
    torch.manual_seed(3)
    bare = {"srn": nn.RNN, "lstm": nn.LSTM, "gru": nn.GRU}[cell](5, 6, 2, bidirectional=True)
    torch.manual_seed(3)
    options = {"forget_bias": None} if cell == "lstm" else {}
    stack = RecurrentStack(cell, 5, 6, 2, bidirectional=True, initialization="pytorch", cell_options=options)
    torch.testing.assert_close(stack.state_dict(), bare.state_dict(), rtol=0, atol=0)


@pytest.mark.parametrize("initialization", ["orthogonal", "pytorch"])
@pytest.mark.parametrize("forget_bias", [1.0, -2.5])
def test_the_forget_bias_is_applied_once(initialization: str, forget_bias: float) -> None:
    how: dict[str, Any] = {"initialization": initialization, "cell_options": {"forget_bias": forget_bias}}
    stack = RecurrentStack("lstm", 5, 6, num_layers=2, bidirectional=True, **how)
    sums = [a + b for a, b in zip(blocks(stack, "bias_ih"), blocks(stack, "bias_hh"), strict=True)]
    for i, f, c_tilde, o in zip(*[iter(sums)] * 4, strict=True):
        assert (f == forget_bias).all()
        others = torch.cat([i, c_tilde, o])
        assert (others == 0).all() if initialization == "orthogonal" else (others != 0).all()


@pytest.mark.parametrize(
    ("cell", "options", "signs"),
    [
        ("lstm", {}, {1: 1, 0: -1}),
        ("gru", {"reset": "after"}, {1: 1}),
        ("gru", {"reset": "before"}, {1: -1}),
        ("peephole_lstm", {}, {1: 1, 0: -1}),
        ("cifg", {}, {0: -1}),
        ("mgu", {}, {0: -1}),
        ("janet", {}, {0: 1}),
    ],
)
def test_chrono_spreads_the_memory_over_the_dependency(
    cell: str, options: dict[str, Any], signs: dict[int, int]
) -> None:
    """The memory of a unit, 1 + exp(bias) steps, is uniform between 2 and the longest dependency."""
    torch.manual_seed(0)
    stack = RecurrentStack(cell, 1, 1000, cell_options=options | {"chrono": 100}, initialization="identity")
    biases = stack.bias_ih_l0.detach().chunk(stack.cell.gates)
    for gate, bias in enumerate(biases):
        if gate in signs:
            memory = 1 + torch.exp(signs[gate] * bias)
            assert (memory.min() >= 2, memory.max() <= 100) == (True, True)
            assert memory.mean().item() == pytest.approx(51, abs=3)
            assert torch.equal(signs[gate] * bias, next(sign * biases[other] for other, sign in signs.items()))
        else:
            assert not bias.any()


def test_an_irnn_adds_up_its_input() -> None:
    stack = RecurrentStack("srn", 3, 4, cell_options={"nonlinearity": "relu"}, initialization="identity")
    x = torch.randn(2, 50, 3)
    expected = torch.zeros(2, 4)
    for step in x.unbind(1):
        expected = torch.relu(expected + step @ stack.weight_ih_l0.T)
    torch.testing.assert_close(stack(x)[1][0][0], expected)
    assert 0 < stack.weight_ih_l0.abs().max() < 0.005


def test_reset_parameters_draws_new_values() -> None:
    stack = RecurrentStack("lstm", 3, 4, layer_norm=True, learned_initial_state=True)
    before = {name: value.clone() for name, value in stack.state_dict().items()}
    for parameter in stack.parameters():
        nn.init.constant_(parameter, 7.0)
    stack.reset_parameters()
    after = stack.state_dict()
    assert not any((value == 7).any() for value in after.values())
    assert not torch.equal(after["weight_hh_l0"], before["weight_hh_l0"])
    for name in ("bias_ih_l0", "initial_state", "norms.0.weight", "norms.0.bias"):
        torch.testing.assert_close(after[name], before[name])


def transparent(**options: Any) -> RecurrentStack:
    """Return two layers; the outputs of the second show which inputs were dropped."""
    stack = RecurrentStack("srn", 8, 8, 2, cell_options={"nonlinearity": "relu"}, dropout=0.5, **options)
    with torch.no_grad():
        for name, parameter in stack.named_parameters():
            parameter.copy_(torch.eye(8) if name.startswith("weight_ih") else torch.zeros_like(parameter))
    return stack


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("how", [{}, {"reproducible": True}, {"time_tied_dropout": True}], ids=str)
def test_dropout_masks(how: dict[str, bool], backend: str) -> None:
    torch.manual_seed(0)
    stack = transparent(backend=backend, **how)
    x = torch.ones(16, 20, 8)
    outputs, _ = stack(x)
    assert set(outputs.unique().tolist()) == {
        0.0,
        2.0,
    }  # kept values are scaled up, and each value is dropped at most once
    assert 0.4 < (outputs > 0).float().mean() < 0.6
    same_at_every_step = (outputs == outputs[:, :1]).all()
    assert same_at_every_step == bool(how.get("time_tied_dropout"))
    assert not (outputs == outputs[:1]).all()  # each sequence has its own mask
    torch.testing.assert_close(stack.eval()(x)[0], x)


@pytest.mark.parametrize("options", [{"reproducible": True}, {"time_tied_dropout": True}], ids=str)
def test_dropout_outside_the_kernel_repeats_under_one_seed_on_every_backend(options: dict[str, bool]) -> None:
    drawn = []
    for backend in ("fused", "fused", "reference"):
        stack = transparent(backend=backend, **options)
        torch.manual_seed(5)
        drawn.append(stack(torch.ones(4, 6, 8))[0])
    assert torch.equal(drawn[0], drawn[1])
    assert torch.equal(drawn[0], drawn[2])
    torch.manual_seed(6)
    assert not torch.equal(stack(torch.ones(4, 6, 8))[0], drawn[0])


def test_residual_adds_the_input_of_the_layer() -> None:
    plain, residual = (RecurrentStack("gru", 4, 4, num_layers=2, residual=on) for on in (False, True))
    residual.load_state_dict(plain.state_dict())
    first = RecurrentStack("gru", 4, 4)
    first.load_state_dict({name: value for name, value in plain.state_dict().items() if "_l0" in name})
    x = torch.randn(2, 5, 4)
    (y, state), (z, residual_state) = plain(x), residual(x)
    torch.testing.assert_close(z, y + first(x)[0])  # not in the first layer, even if the widths agree
    torch.testing.assert_close(residual_state, state)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize("how", [{}, {"time_tied_dropout": True}], ids=str)
def test_residual_adds_the_input_before_dropout(how: dict[str, bool], backend: str) -> None:
    torch.manual_seed(0)
    x = torch.ones(16, 20, 8)
    outputs, _ = transparent(backend=backend, residual=True, **how)(x)
    # The input itself, and 0 or 2 after dropout; a dropped input would give 0 or 4.
    assert set(outputs.unique().tolist()) == {1.0, 3.0}


def test_layer_norm_normalizes_each_layer_over_its_features() -> None:
    stack = RecurrentStack("gru", 3, 16, num_layers=2, bidirectional=True, layer_norm=True)
    outputs, _ = stack(torch.randn(2, 5, 3))
    torch.testing.assert_close(outputs.mean(dim=2), torch.zeros(2, 5), atol=1e-6, rtol=0)
    torch.testing.assert_close(outputs.std(dim=2, correction=0), torch.ones(2, 5), atol=1e-2, rtol=0)
    with torch.no_grad():
        stack.norms[0].weight.zero_()
        stack.norms[0].bias.zero_()
    silent = stack(torch.randn(2, 5, 3))[0]
    torch.testing.assert_close(
        silent, stack(torch.randn(2, 5, 3))[0]
    )  # the input of the second layer is the normalized output of the first


@pytest.mark.parametrize("backend", BACKENDS)
def test_learned_initial_state_is_the_first_state(backend: str) -> None:
    stack = RecurrentStack("lstm", 3, 4, 2, bidirectional=True, learned_initial_state=True, backend=backend)
    x = torch.randn(5, 7, 3)
    zeros = (torch.zeros(2, 5, 8),) * 2
    torch.testing.assert_close(stack(x), stack(x, state=zeros))
    nn.init.normal_(stack.initial_state)
    start = tuple(torch.cat([part] * 5, dim=1) for part in stack.initial_state.detach())
    torch.testing.assert_close(stack(x), stack(x, state=start))
    assert not torch.allclose(stack(x)[0], stack(x, state=zeros)[0])


def test_every_number_of_a_learned_initial_state_learns() -> None:
    for cell in CELLS:
        stack = RecurrentStack(cell, 3, 4, 2, learned_initial_state=True)
        assert stack.initial_state is not None
        nn.init.normal_(stack.initial_state)
        stack(torch.randn(5, 7, 3))[0].square().sum().backward()
        assert stack.initial_state.grad is not None
        assert stack.initial_state.grad.flatten(1).any(dim=1).all(), cell


def bare_step(x: torch.Tensor, state: tuple[torch.Tensor, ...], recur: Any) -> tuple[torch.Tensor, ...]:
    return (x + recur(state[0]),)


REFUSED: list[tuple[dict[str, Any], str]] = [
    (
        {"cell": "gru", "cell_options": {"chrono": 2}},
        "chrono is the longest dependency in steps and must exceed 2, not 2",
    ),
    (
        {"cell_options": {"layer_norm": True, "ur_gates": True}},
        "layer_norm and ur_gates are changes of different papers: choose one",
    ),
    (
        {"cell_options": {"layer_norm": True, "reset": "before"}},
        "layer_norm and ur_gates are those of a GRU whose reset gate scales U h: use reset=after",
    ),
    (
        {"cell": "lstm", "cell_options": {"ur_gates": True, "chrono": 100}},
        "ur_gates has an initialization of its own: leave out chrono",
    ),
    (
        {"cell": "lstm", "cell_options": {"ur_gates": True, "forget_bias": 5.0}},
        "ur_gates has an initialization of its own: leave out forget_bias",
    ),
    (
        {"cell": "mgu", "cell_options": {"ur_gates": True}},
        "cell 'mgu' has no option 'ur_gates': choose one of chrono",
    ),
    (
        {"cell": "lstm", "cell_options": {"orthogonal": True}},
        "cell 'lstm' has no option 'orthogonal': choose one of forget_bias, chrono, layer_norm, ur_gates",
    ),
    (
        {"cell_options": {"layer_norm": True}, "backend": "fused"},
        "cell 'gru' reset=after layer_norm=True has no fused kernel: use backend=auto or reference",
    ),
    ({"cell": "grru"}, r"unknown cell 'grru': choose one of srn, lstm, gru, .*; did you mean 'gru'\?"),
    ({"input_size": 0}, "input_size must be a whole number of at least 1, not 0"),
    ({"hidden_size": -4}, "hidden_size must be a whole number of at least 1, not -4"),
    ({"num_layers": 0}, "num_layers must be a whole number of at least 1, not 0"),
    ({"num_layers": 1.5}, "num_layers must be a whole number of at least 1, not 1.5"),
    ({"dropout": 1.0}, r"dropout must lie in \[0, 1\), not 1.0"),
    ({"dropout": -0.1}, r"dropout must lie in \[0, 1\), not -0.1"),
    (
        {"backend": "fusd"},
        r"unknown backend 'fusd': choose one of auto, fused, batched, parallel, .*; did you mean 'fused'\?",
    ),
    ({"initialization": "xavier"}, "unknown initialization 'xavier': choose one of orthogonal, identity, pytorch"),
    (
        {"cell_options": {"reset": "befor"}},
        r"unknown reset 'befor': choose one of after, before; did you mean 'before'\?",
    ),
    (
        {"cell": "srn", "cell_options": {"nonlinearity": "sigmoid"}},
        "unknown nonlinearity 'sigmoid': choose one of tanh, relu",
    ),
    (
        {"cell": "lstm", "cell_options": {"reset": "before"}},
        "cell 'lstm' has no option 'reset': choose one of forget_bias, chrono, layer_norm, ur_gates",
    ),
    (
        {"cell": "lstm", "cell_options": {"forget_bais": 2}},
        r"cell 'lstm' has no option 'forget_bais': choose one of forget_bias, chrono, .*; did you mean 'forget_bias'\?",
    ),
    ({"cell": "lstm", "cell_options": {"forget_bias": "2"}}, r"forget_bias must be float \| None, not '2'"),
    ({"cell": "lstm", "cell_options": {"forget_bias": True}}, r"forget_bias must be float \| None, not True"),
    (
        {"cell_options": {"reset": "before"}, "backend": "fused"},
        "cell 'gru' reset=before has no fused kernel: use backend=auto or reference",
    ),
    (
        {"cell": Cell(bare_step, gates=1), "backend": "fused"},
        "cell 'bare_step' has no fused kernel: use backend=auto or reference",
    ),
    (
        {"cell": Cell(bare_step, gates=1), "cell_options": {"a": 1}},
        "cell 'bare_step' has no option 'a': it has no options",
    ),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=lambda v: None if isinstance(v, str) else str(list(v)))
def test_bad_options_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=f"^{message}$"):
        RecurrentStack(**{"cell": "gru", "input_size": 3, "hidden_size": 4} | options)
