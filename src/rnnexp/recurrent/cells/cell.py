"""A cell is one step, written as its equations in the letters of its paper, and its weights.

A step maps the input and the state of one time step to the next state. The pre-activations are W x + b + U h + d. The
step gets the input half as a value, computed for all time steps at once, and the recurrent half as a function, since
cells multiply U by different terms.

    x        W x_t + b, the blocks of the gates side by side    [batch, gates * hidden]
    recur    h -> U h + d, for all gates or gate by gate
    state    a tuple whose first tensor is h                    [batch, hidden] each
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rnnexp.core.validation import validate_choice
from rnnexp.recurrent.batched_steps import BatchedStep

State = tuple[Tensor, ...]
"""The tensors that a cell carries from step to step. The first is h."""

Squash = Callable[[Tensor], Tensor]
"""The nonlinearity of a gate or a state: torch.sigmoid, torch.tanh or torch.relu."""

SATURATED: Mapping[Squash, Callable[[Tensor], Tensor]] = {
    torch.sigmoid: lambda activation: (activation < 0.05) | (activation > 0.95),
    torch.tanh: lambda activation: activation.abs() > 0.95,
    torch.relu: lambda activation: activation == 0,
}
"""The function of a gate -> whether an activation is saturated: the derivative there is almost zero."""

Kernel = Callable[..., tuple[Tensor, ...]]
"""A function of torch that runs a recurrent network over whole sequences, such as torch.gru."""

WEIGHTS = ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
"""W, U, b and d, with the names of torch.nn's recurrent modules."""


class Recurrence:
    """The recurrent product h -> U h + d: `recur(h)` for all gates at once, `recur.gates[k](h)` for one.

    Args:
        weight: U [gates * hidden, hidden], the blocks of the gates one below the other.
        bias: d [gates * hidden], or None.
    """

    def __init__(self, weight: Tensor, bias: Tensor | None) -> None:
        self.weight, self.bias = weight, bias
        blocks = torch.split(weight, weight.shape[1])
        biases = [None] * len(blocks) if bias is None else torch.split(bias, weight.shape[1])
        self.gates: list[Callable[[Tensor], Tensor]] = [
            partial(linear, weight=u, bias=d) for u, d in zip(blocks, biases, strict=True)
        ]

    def __call__(self, h: Tensor) -> Tensor:
        """Return U h + d [batch, gates * hidden] for h [batch, hidden]."""
        return linear(h, self.weight, self.bias)


CellFunction = Callable[..., State]
"""`step(x, state, recur, **parameters) -> state`, see the top of this file.

The parameters are the additional weights that the cell declares, by name. `recur` is None for a cell without U. A cell
with a module gets that of the layer and direction, `step(x, state, None, module=module)`, and x is the input itself.
"""


class Parameter(NamedTuple):
    """An additional weight of a cell besides W, U, b and d, such as a peephole."""

    shape: Callable[[int], tuple[int, ...]]
    """hidden_size -> shape"""
    initialize: Callable[[Tensor], object] = nn.init.zeros_
    """A function that initializes the weight in place."""


def vector(hidden_size: int, blocks: int = 1) -> tuple[int, ...]:
    """Return the shape of a parameter with one number for each unit, or for each row of some blocks."""
    return (blocks * hidden_size,)


def matrix(hidden_size: int) -> tuple[int, ...]:
    """Return the shape of a parameter with one number for each pair of units."""
    return hidden_size, hidden_size


@dataclass(frozen=True)
class Cell:
    """A recurrent cell: its step and its weights.

    Args:
        step: the equations, see `CellFunction`.
        gates: blocks of `hidden_size` rows in each of W, U, b and d.
        states: the number of tensors in the state.
        weights: those of `WEIGHTS` that the equations use.
        parameters: additional weights by name, registered for each layer and direction as `<name>_l0`,
            `<name>_l0_reverse` ...
        module: (input_size, hidden_size) -> a module with the weights of one layer and direction, registered as
            `module_l0` ..., in place of all other weights. It initializes itself.
        initialize: called after the initialization of the stack with the weights of one layer and direction by name,
            to change them in place.
        parametrizations: name of a weight -> a function of a module and a name that registers a parametrization of
            torch for it, such as one that keeps it orthogonal.
        fused: the kernel of torch that is equivalent to the step.
        batched: the same step on buffers, see `rnnexp.recurrent.batched_steps`; for cells of one state.
        coefficients: x -> (a, b) if the step is h = a h + b, with a and b that depend on x alone, for tensors
            [..., gates * hidden]; for cells without U that have one state.
        separable: whether each tensor of the state has a meaning alone: zoneout keeps numbers of one while the others
            change, and a learned initial state has a value for each.
        blocks: the names of the gates' blocks in the equations, in order; for measurements, like `squashed`.
        squashed: block -> the function that is applied to its W x + b + U h + d, for the gates and an SRN's state.

    Raises:
        ValueError: for unknown weights, names of parameters that the stack already uses, and blocks or nonlinearities
            that cannot be measured.
    """

    step: CellFunction
    gates: int
    states: int = 1
    weights: tuple[str, ...] = WEIGHTS
    parameters: Mapping[str, Parameter] = field(default_factory=dict)
    module: Callable[[int, int], nn.Module] | None = None
    initialize: Callable[[Mapping[str, Tensor]], None] | None = None
    parametrizations: Mapping[str, Callable[[nn.Module, str], object]] = field(default_factory=dict)
    fused: Kernel | None = None
    batched: BatchedStep | None = None
    coefficients: Callable[[Tensor], tuple[Tensor, Tensor]] | None = None
    separable: bool = True
    blocks: tuple[str, ...] = ()
    squashed: Mapping[str, Squash] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._validate_weights()
        if self.fused is not None and (self.parameters or self.weights != WEIGHTS):
            raise ValueError("the kernels of torch support only cells with exactly W, U, b and d: leave out fused")
        if self.batched is not None and (self.parameters or self.weights != WEIGHTS or self.states > 1):
            raise ValueError("a batched step supports only cells of one state with exactly W, U, b and d: leave it out")
        if self.coefficients is not None and ("weight_hh" in self.weights or self.parameters or self.states > 1):
            raise ValueError("only cells of one state with W and b alone can have coefficients: leave them out")
        if self.blocks and len(self.blocks) != self.gates:
            raise ValueError(f"blocks names {len(self.blocks)} blocks, but the cell has gates={self.gates}")
        for block, squash in self.squashed.items():
            validate_choice("block in squashed", block, self.blocks)
            if squash not in SATURATED:
                names = ", ".join(f"torch.{known.__name__}" for known in SATURATED)
                name = getattr(squash, "__name__", str(squash))
                raise ValueError(f"squashed[{block!r}] is {name}: choose one of {names}, or leave the block out")

    def _validate_weights(self) -> None:
        for name in self.weights:
            validate_choice("weight of a cell", name, WEIGHTS)
        if self.module is not None:
            if self.weights or self.parameters or self.initialize or self.blocks:
                raise ValueError("a cell with a module has no other weights: declare weights=() alone")
        elif "weight_ih" not in self.weights or ("bias_hh" in self.weights and "weight_hh" not in self.weights):
            raise ValueError(f"a cell needs weight_ih, and weight_hh for bias_hh, not {', '.join(self.weights)} alone")
        if taken := set(self.parameters) & {*WEIGHTS, "initial_state", "norms", "module"}:
            raise ValueError(f"a stack already has {min(taken)}: rename that parameter of the cell")

    @property
    def arguments(self) -> tuple[str, ...]:
        """The names of the keyword arguments of the step."""
        return (*self.parameters, *(() if self.module is None else ("module",)))

    def weight_shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all weights of one layer and direction by name, in the order of registration."""
        rows = self.gates * hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size)}
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        additional = {name: parameter.shape(hidden_size) for name, parameter in self.parameters.items()}
        return {name: shape for name, shape in shapes.items() if name in self.weights} | additional


CellFactory = Callable[..., Cell]
"""A function that makes a cell. Its keyword arguments and their defaults are the options of the cell."""
