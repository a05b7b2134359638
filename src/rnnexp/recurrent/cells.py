"""The cells: each is one step, written as its equations in the letters of its paper, and one row of `CELLS`.

A step maps the input and the state of one time step to the next state. The pre-activations are W x + b + U h + d. The
step gets the input half as a value, computed for all time steps at once, and the recurrent half as a function, since
cells multiply U by different terms.

    x        W x_t + b, the blocks of the gates side by side    [batch, gates * hidden]
    recur    h -> U h + d, for all gates or gate by gate
    state    a tuple whose first tensor is h                    [batch, hidden] each
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args, get_origin, get_type_hints

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rnnexp.core.errors import first_line
from rnnexp.core.validation import did_you_mean, lookup, validate_choice
from rnnexp.recurrent.batched_steps import GRU_AFTER, GRU_BEFORE, SRN_RELU, SRN_TANH, BatchedStep

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

The parameters are the additional weights that the cell declares, by name. `recur` is None for a cell without U.
"""


class Parameter(NamedTuple):
    """An additional weight of a cell besides W, U, b and d, such as a peephole."""

    shape: Callable[[int], tuple[int, ...]]
    """hidden_size -> shape"""
    initialize: Callable[[Tensor], object] = nn.init.zeros_
    """A function that initializes the weight in place."""


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
        initialize: called after the initialization of the stack with the weights of one layer and direction by name,
            to change them in place.
        fused: the kernel of torch that is equivalent to the step.
        batched: the same step on buffers, see `rnnexp.recurrent.batched_steps`; for cells of one state.
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
    initialize: Callable[[Mapping[str, Tensor]], None] | None = None
    fused: Kernel | None = None
    batched: BatchedStep | None = None
    blocks: tuple[str, ...] = ()
    squashed: Mapping[str, Squash] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in self.weights:
            validate_choice("weight of a cell", name, WEIGHTS)
        if "weight_ih" not in self.weights or ("bias_hh" in self.weights and "weight_hh" not in self.weights):
            raise ValueError(f"a cell needs weight_ih, and weight_hh for bias_hh, not {', '.join(self.weights)} alone")
        if taken := set(self.parameters) & {*WEIGHTS, "initial_state", "norms"}:
            raise ValueError(f"a stack already has {min(taken)}: rename that parameter of the cell")
        if self.fused is not None and (self.parameters or self.weights != WEIGHTS):
            raise ValueError("the kernels of torch support only cells with exactly W, U, b and d: leave out fused")
        if self.batched is not None and (self.parameters or self.weights != WEIGHTS or self.states > 1):
            raise ValueError("a batched step supports only cells of one state with exactly W, U, b and d: leave it out")
        if self.blocks and len(self.blocks) != self.gates:
            raise ValueError(f"blocks names {len(self.blocks)} blocks, but the cell has gates={self.gates}")
        for block, squash in self.squashed.items():
            validate_choice("block in squashed", block, self.blocks)
            if squash not in SATURATED:
                names = ", ".join(f"torch.{known.__name__}" for known in SATURATED)
                name = getattr(squash, "__name__", str(squash))
                raise ValueError(f"squashed[{block!r}] is {name}: choose one of {names}, or leave the block out")

    def weight_shapes(self, input_size: int, hidden_size: int) -> dict[str, tuple[int, ...]]:
        """Return the shapes of all weights of one layer and direction by name, in the order of registration."""
        rows = self.gates * hidden_size
        shapes: dict[str, tuple[int, ...]] = {"weight_ih": (rows, input_size), "weight_hh": (rows, hidden_size)}
        shapes |= {"bias_ih": (rows,), "bias_hh": (rows,)}
        additional = {name: parameter.shape(hidden_size) for name, parameter in self.parameters.items()}
        return {name: shape for name, shape in shapes.items() if name in self.weights} | additional


def srn_tanh(x: Tensor, state: State, recur: Recurrence) -> State:
    """Compute a simple recurrent network (Elman, 1990, "Finding structure in time")."""
    (h,) = state
    h = torch.tanh(x + recur(h))
    return (h,)


def srn_relu(x: Tensor, state: State, recur: Recurrence) -> State:
    """Compute a simple recurrent network of rectified units (Le, Jaitly & Hinton, 2015, arXiv:1504.00941)."""
    (h,) = state
    h = torch.relu(x + recur(h))
    return (h,)


def lstm(x: Tensor, state: State, recur: Recurrence) -> State:
    """Compute an LSTM with forget gate (Gers, Schmidhuber & Cummins, 2000), without peepholes. Blocks: i, f, C~, o."""
    h, c = state
    i, f, c_tilde, o = (x + recur(h)).chunk(4, dim=-1)
    f = torch.sigmoid(f)
    i = torch.sigmoid(i)
    c_tilde = torch.tanh(c_tilde)
    c = f * c + i * c_tilde
    o = torch.sigmoid(o)
    h = o * torch.tanh(c)
    return h, c


def gru_reset_after(x: Tensor, state: State, recur: Recurrence) -> State:
    """Compute the GRU of PyTorch and cuDNN: r scales U h + d, after the product, and z keeps h. Blocks: r, z, h~."""
    (h,) = state
    r_x, z_x, h_x = x.chunk(3, dim=-1)
    r_h, z_h, h_h = recur(h).chunk(3, dim=-1)
    r = torch.sigmoid(r_x + r_h)
    z = torch.sigmoid(z_x + z_h)
    h_tilde = torch.tanh(h_x + r * h_h)
    h = (1 - z) * h_tilde + z * h
    return (h,)


def gru_reset_before(x: Tensor, state: State, recur: Recurrence) -> State:
    """Compute the GRU of Cho et al. (2014, arXiv:1406.1078): r scales h, before the product. Blocks: r, z, h~.

    Here z replaces h, as in Chung et al. (2014, arXiv:1412.3555); in PyTorch's GRU it keeps h.
    """
    (h,) = state
    r_x, z_x, h_x = x.chunk(3, dim=-1)
    r_recur, z_recur, h_recur = recur.gates
    z = torch.sigmoid(z_x + z_recur(h))
    r = torch.sigmoid(r_x + r_recur(h))
    h_tilde = torch.tanh(h_x + h_recur(r * h))
    h = (1 - z) * h + z * h_tilde
    return (h,)


def make_srn(nonlinearity: Literal["tanh", "relu"] = "tanh") -> Cell:
    """Return a simple recurrent network."""
    if nonlinearity == "relu":
        rectified = {"h": torch.relu}
        return Cell(srn_relu, gates=1, fused=torch.rnn_relu, batched=SRN_RELU, blocks=("h",), squashed=rectified)
    return Cell(srn_tanh, gates=1, fused=torch.rnn_tanh, batched=SRN_TANH, blocks=("h",), squashed={"h": torch.tanh})


def make_lstm(forget_bias: float | None = 1.0) -> Cell:
    """Return an LSTM. The biases b + d of its forget gate start at `forget_bias`; None leaves them to the stack."""
    gates = {"i": torch.sigmoid, "f": torch.sigmoid, "o": torch.sigmoid}
    initialize = None if forget_bias is None else partial(set_gate_bias, gate=1, value=forget_bias)
    blocks = ("i", "f", "C~", "o")
    return Cell(lstm, gates=4, states=2, initialize=initialize, fused=torch.lstm, blocks=blocks, squashed=gates)


def make_gru(reset: Literal["after", "before"] = "after") -> Cell:
    """Return a GRU. Its reset gate scales U h + d (`after`: PyTorch) or h (`before`: Cho et al., 2014; no kernel)."""
    gates = {"r": torch.sigmoid, "z": torch.sigmoid}
    blocks = ("r", "z", "h~")
    if reset == "before":
        return Cell(gru_reset_before, gates=3, batched=GRU_BEFORE, blocks=blocks, squashed=gates)
    return Cell(gru_reset_after, gates=3, fused=torch.gru, batched=GRU_AFTER, blocks=blocks, squashed=gates)


def set_gate_bias(weights: Mapping[str, Tensor], gate: int, value: float) -> None:
    """Set b + d of one gate to a value: b to the value, and d to zero."""
    hidden_size = weights["weight_hh"].shape[1]
    rows = slice(gate * hidden_size, (gate + 1) * hidden_size)
    weights["bias_ih"][rows] = value
    weights["bias_hh"][rows] = 0


CellFactory = Callable[..., Cell]
"""A function that makes a cell. Its keyword arguments and their defaults are the options of the cell."""

CELLS: dict[str, Cell | CellFactory] = {"srn": make_srn, "lstm": make_lstm, "gru": make_gru}


class NamedCell(NamedTuple):
    """A cell with its name and its options."""

    name: str
    cell: Cell
    options: dict[str, Any]
    """Every option of the cell, with its value."""


def make_cell(cell: str | Cell | CellFactory, options: Mapping[str, Any] | None = None) -> NamedCell:
    """Make a cell.

    Args:
        cell: a name in `CELLS`; `module.name` of a module that Python can import; or a cell or its factory.
        options: option -> value; other options have their defaults.

    Raises:
        ValueError: for an unknown name, an unknown option, an invalid value, a step that returns another state than
            the cell declares, or a weight that the step never uses.
    """
    found = _find_cell(cell) if isinstance(cell, str) else cell
    given = dict(options or {})
    if isinstance(found, Cell):
        name = cell if isinstance(cell, str) else str(getattr(found.step, "__name__", "cell"))
        _validate_options(name, given, [])
        return NamedCell(name, _require_sound(name, found), {})
    name = cell if isinstance(cell, str) else str(getattr(found, "__name__", "cell"))
    defaults = {key: argument.default for key, argument in inspect.signature(found).parameters.items()}
    _validate_options(name, given, list(defaults))
    if missing := [key for key, default in defaults.items() if default is inspect.Parameter.empty and key not in given]:
        raise ValueError(
            f"cell {name!r} is a function of {', '.join(missing)} without defaults: name a Cell, or a function of "
            "options that returns one"
        )
    for key, value in given.items():
        _validate_value(key, value, get_type_hints(found).get(key))
    made = found(**given)
    if not isinstance(made, Cell):
        raise ValueError(f"cell {name!r} returns {type(made).__name__}: it must return a Cell")  # noqa: TRY004
    if cell not in CELLS:
        _require_sound(name, made)
    return NamedCell(name, made, defaults | given)


def _require_sound(name: str, cell: Cell) -> Cell:
    """Raise ValueError for a step that returns no state of its cell, and for a weight that the step never uses.

    Such a weight would be counted as parameters, but never be trained. A step that does not run alone is not checked.
    """
    batch, hidden_size = 2, 4
    shapes = cell.weight_shapes(1, hidden_size)
    # A step may draw random numbers, which must not change those of the program.
    with torch.enable_grad(), torch.random.fork_rng(devices=[]):
        weights = {key: torch.full(shape, 0.1).requires_grad_() for key, shape in shapes.items()}
        x = linear(torch.ones(batch, 1), weights["weight_ih"], weights.get("bias_ih"))
        recur: Any = Recurrence(weights["weight_hh"], weights.get("bias_hh")) if "weight_hh" in weights else None
        state: State = (torch.full((batch, hidden_size), 0.1),) * cell.states
        for _ in range(2):
            try:
                state = cell.step(x, state, recur, **{key: weights[key] for key in cell.parameters})
            except Exception:
                # The forward pass raises the error, with the sizes that were asked for.
                return cell
            _require_state(name, state, cell.states, [batch, hidden_size])
        total: Any = sum(tensor.sum() for tensor in state)
        if not total.requires_grad:
            return cell
        used = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
    if unused := [key for key, gradient in zip(weights, used, strict=True) if gradient is None]:
        declared = [weight for weight in cell.weights if weight not in unused]
        remedy = f"declare weights={tuple(declared)}" if set(unused) & set(WEIGHTS) else "leave them out of parameters"
        raise ValueError(f"cell {name!r} never uses {', '.join(unused)}, which would be counted: {remedy}")
    return cell


def _require_state(name: str, state: object, num_states: int, shape: list[int]) -> None:
    what = f"cell {name!r}: its step"
    if not isinstance(state, tuple) or len(state) != num_states:
        found = f"of {len(state)}" if isinstance(state, tuple) else type(state).__name__
        raise ValueError(f"{what} must return a tuple of {num_states} tensor{'s' * (num_states > 1)}, not {found}")
    for number, tensor in enumerate(state, start=1):
        found = str(list(tensor.shape)) if isinstance(tensor, Tensor) else type(tensor).__name__
        if found != str(shape):
            raise ValueError(
                f"{what} returns {found} as state {number}, not {shape}, for a batch of {shape[0]} and "
                f"hidden_size={shape[1]}"
            )


def option_values(cell: Cell | CellFactory) -> dict[str, tuple[str, ...]]:
    """Return the allowed values of those options of a cell that have a list of values."""
    hints = {} if isinstance(cell, Cell) else get_type_hints(cell)
    return {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}


def _find_cell(name: str) -> Cell | CellFactory:
    module_name, _, attribute = name.rpartition(".")
    if not module_name:
        return lookup("cell", name, CELLS)
    module = _import_module(name, module_name)
    found = getattr(module, attribute, None)
    if not isinstance(found, Cell) and not inspect.isfunction(found):
        names = [key for key, value in vars(module).items() if _is_cell_of(module, value)]
        choices = f"choose one of {', '.join(names)}{did_you_mean(attribute, names)}" if names else "it has none"
        raise ValueError(f"unknown cell {name!r}, not among the cells of {module_name}: {choices}")
    return found


def _is_cell_of(module: ModuleType, value: object) -> bool:
    """Return whether a value of a module is a cell: a Cell, or a function of the module that returns one."""
    if not inspect.isfunction(value) or value.__module__ != module.__name__:
        return isinstance(value, Cell)
    return get_type_hints(value).get("return") is Cell


def _import_module(cell: str, name: str) -> ModuleType:
    try:
        return import_module(name)
    except Exception as error:
        if isinstance(error, ModuleNotFoundError) and error.name and f"{name}.".startswith(f"{error.name}."):
            where = "in the working directory or installed"
            raise ValueError(f"unknown cell {cell!r}: there is no module {error.name} {where}") from None
        what = f"{type(error).__name__}: {first_line(error)}"
        raise ValueError(f"cell {cell!r}: importing {name} fails with {what}") from error


def _validate_options(cell: str, given: Mapping[str, Any], known: list[str]) -> None:
    for option in given:
        if option not in known:
            choices = f"choose one of {', '.join(known)}{did_you_mean(option, known)}" if known else "it has no options"
            raise ValueError(f"cell {cell!r} has no option {option!r}: {choices}")


def _validate_value(option: str, value: Any, hint: Any) -> None:  # noqa: ANN401 (a value of YAML, and any annotation)
    if get_origin(hint) is Literal:
        validate_choice(option, value, get_args(hint))
    elif isinstance(hint, type) or (hint is not None and get_args(hint)):
        # An int is valid for a float; a bool is valid for neither.
        number = float(value) if isinstance(value, int) and not isinstance(value, bool) else value
        try:
            fits = isinstance(value, hint) or isinstance(number, hint)
        except TypeError:  # an annotation that isinstance does not support
            return
        if not fits or (isinstance(value, bool) and hint is not bool):
            raise ValueError(f"{option} must be {getattr(hint, '__name__', hint)}, not {value!r}")
