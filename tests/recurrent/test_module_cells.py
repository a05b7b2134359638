"""Classes in the form of torch.nn as cells: their state, options and weights, and the classes that are refused."""

import copy
import pickle
import re
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnexp.models import Seq2Seq
from rnnexp.recurrent import RecurrentStack
from rnnexp.recurrent.cells import make_cell
from support.own_cells import DecayCell

LENGTHS = torch.tensor([7, 1, 4, 6, 2])


class Pair(nn.GRUCell):
    """A cell that returns an output and the state."""

    def forward(self, x: Tensor, h: Tensor | None = None) -> Any:
        h = super().forward(x, h)
        return h, (h, h)


class Wide(nn.GRUCell):
    """A cell whose state is wider than its outputs."""

    def forward(self, x: Tensor, h: Tensor | None = None) -> Tensor:
        return torch.cat([super().forward(x, h)] * 2, dim=1)


class NoSizes(nn.Module):
    """A class that is made with one size."""

    def __init__(self, size: int) -> None:  # noqa: ARG002
        super().__init__()


def test_a_class_runs_with_everything_that_a_stack_has() -> None:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"num_layers": 2, "bidirectional": True, "learned_initial_state": True}
    stack = RecurrentStack(DecayCell, 3, 4, **settings, layer_norm=True, residual=True).double()
    assert (stack.cell_name, stack.num_states, stack.cell_options) == ("DecayCell", 2, {"decay": 0.5, "dropout": 0.0})
    assert stack.multiply_adds_per_step == 2 * 4 * (3 + 4) + 2 * 4 * (8 + 4)
    nn.init.normal_(stack.initial_state)
    x = torch.randn(5, 7, 3, dtype=torch.double)
    outputs, state = stack(x, LENGTHS)
    assert [tensor.shape for tensor in (outputs, *state)] == [(5, 7, 8), (2, 5, 8), (2, 5, 8)]
    for row, length in enumerate(LENGTHS.tolist()):
        alone, alone_state = stack(x[row : row + 1, :length])
        torch.testing.assert_close(outputs[row, :length], alone[0])
        torch.testing.assert_close([tensor[:, row] for tensor in state], [tensor[:, 0] for tensor in alone_state])
    outputs.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in stack.parameters())
    assert stack.last_backend == "reference"


def test_its_weights_are_copied_pickled_and_drawn_again() -> None:
    stack = RecurrentStack(DecayCell, 3, 4, bidirectional=True)
    assert list(stack.state_dict())[:3] == ["module_l0.decay", "module_l0.product.weight", "module_l0.product.bias"]
    for again in (copy.deepcopy(stack), pickle.loads(pickle.dumps(stack))):
        torch.testing.assert_close(again.state_dict(), stack.state_dict())
    before = stack.module_l0.product.weight.clone()
    stack.reset_parameters()
    assert not torch.equal(stack.module_l0.product.weight, before)


def test_options_are_the_arguments_of_the_constructor() -> None:
    stack = RecurrentStack(DecayCell, 3, 4, cell_options={"decay": 0.25, "dropout": 0.5})
    assert stack.module_l0.decay == 0.25
    x = torch.randn(2, 5, 3)
    assert not torch.equal(stack(x)[0], stack(x)[0]), "dropout of the cell in training"
    stack.eval()
    assert torch.equal(stack(x)[0], stack(x)[0])


@pytest.mark.parametrize("lengths", [None, LENGTHS], ids=["full", "padded"])
@pytest.mark.parametrize("bidirectional", [False, True], ids=["forwards", "both"])
@pytest.mark.parametrize(("module", "cell"), [("RNNCell", "srn"), ("GRUCell", "gru"), ("LSTMCell", "lstm")])
def test_a_class_of_torch_equals_the_cell(module: str, cell: str, bidirectional: bool, lengths: Tensor | None) -> None:
    torch.manual_seed(0)
    settings: dict[str, Any] = {"num_layers": 2, "bidirectional": bidirectional, "learned_initial_state": True}
    adapted = RecurrentStack(f"torch.nn.{module}", 3, 4, **settings).double()
    nn.init.normal_(adapted.initial_state)
    own = RecurrentStack(cell, 3, 4, **settings).double()
    names = {re.sub(r"module_(\w+)\.(\w+)", r"\2_\1", name): name for name in adapted.state_dict()}
    own.load_state_dict({ours: adapted.state_dict()[name] for ours, name in names.items()})
    x = torch.randn(5, 7, 3, dtype=torch.double)
    results = []
    for stack in (adapted, own):
        leaf = x.clone().requires_grad_()
        outputs, state = stack(leaf, lengths)
        (outputs.square().sum() + sum(tensor.sin().sum() for tensor in state)).backward()
        results.append((outputs, *state, leaf.grad))
    torch.testing.assert_close(*results)
    gradients = dict(adapted.named_parameters())
    for name, parameter in own.named_parameters():
        torch.testing.assert_close(gradients[names[name]].grad, parameter.grad)


def test_a_translation_model_leaves_the_weights_of_a_class_as_they_are() -> None:
    class Ones(DecayCell):
        def __init__(self, input_size: int, hidden_size: int) -> None:
            super().__init__(input_size, hidden_size)
            nn.init.ones_(self.product.weight)

    model = Seq2Seq(partial(RecurrentStack, Ones, hidden_size=4), 5, 6, embedding_size=3)
    assert all((weight == 1).all() for name, weight in model.named_parameters() if "product.weight" in name)


@pytest.mark.parametrize(
    ("cell", "options", "message"),
    [
        (Pair, {}, r"'Pair' is no cell: .* it returns \(\[7, 4\], \(\[7, 4\], \[7, 4\]\)\)"),
        (Wide, {}, r"'Wide' is no cell: forward\(x_t, state\) must return the next state, .* it returns \[7, 8\]"),
        ("torch.nn.GRU", {}, r"'torch.nn.GRU' is no cell: forward\(x_t, state\) must return .* a tensor \[7, 4\]"),
        ("torch.nn.Linear", {}, r"'torch.nn.Linear' is no cell: .* it fails with TypeError"),
        ("torch.nn.GRUCel", {}, r"unknown cell 'torch.nn.GRUCel', .* GRUCell, .*; did you mean 'GRUCell'\?"),
        (
            NoSizes,
            {},
            r"cell 'NoSizes' is made without sizes: its constructor must be \(input_size, hidden_size, ...\)",
        ),
        ("builtins.dict", {}, "cell 'builtins.dict' is no class of modules: name a Cell, or a subclass of"),
        ("torch.nn.Bilinear", {}, "cell 'torch.nn.Bilinear' needs out_features: give model.cell_options"),
        ("torch.nn.GRUCell", {"bia": False}, "cell 'torch.nn.GRUCell' has no option 'bia': choose one of bias; did"),
        ("torch.nn.GRUCell", {"device": "cpu"}, "cell 'torch.nn.GRUCell' has no option 'device': choose one of bias"),
        ("torch.nn.GRUCell", {"bias": "no"}, "bias must be bool, not 'no'"),
        (DecayCell, {"dropout": 2.0}, r"cell 'DecayCell' cannot be made with \(3, 4, dropout=2.0\): ValueError"),
    ],
)
def test_a_class_of_another_form_is_refused_in_one_line(cell: Any, options: dict[str, Any], message: str) -> None:
    before = torch.random.get_rng_state()
    with pytest.raises(ValueError, match=f"^{message}") as caught:
        RecurrentStack(cell, 3, 4, cell_options=options)
    assert "\n" not in str(caught.value)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_only_values_that_a_record_can_hold_are_recorded() -> None:
    class Initialized(nn.GRUCell):
        def __init__(self, input_size: int, hidden_size: int, start: Any = nn.init.zeros_, scale: float = 2.0) -> None:
            super().__init__(input_size, hidden_size)
            start(self.bias_ih)
            self.scale = scale

    assert make_cell(Initialized).options == {"scale": 2.0}
