"""Cells in the form of torch.nn: a class whose modules map x_t and the state to the next state.

A module is made by `GRUCell(input_size, hidden_size, **options)` and called as `state = cell(x_t, state)`. The state is
a tensor [batch, hidden] or a tuple of them whose first is h.
"""

import inspect
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple, get_type_hints

import torch
from torch import Tensor, nn

from rnnexp.core.errors import first_line
from rnnexp.recurrent.cells.cell import Cell, State

BATCH = 7
"""The size of the batch with which a module is tried. No state has as many tensors, so none is unpacked by its rows."""
MOST_STATES = 4
SET_BY_TRAINER = ("device", "dtype")
"""Arguments of constructors that are no options."""


def run_module(x: Tensor, state: State, recur: None, module: nn.Module, is_tuple: bool) -> State:  # noqa: ARG001
    """Call the module of a layer."""
    proposed = module(x, state if is_tuple else state[0])
    return tuple(proposed) if is_tuple else (proposed,)


class ModuleOptions(NamedTuple):
    """The options of a class: the arguments of its constructor after input_size and hidden_size."""

    defaults: dict[str, Any]
    """Option -> default; `inspect.Parameter.empty` without one."""
    hints: dict[str, Any]
    """Option -> annotation."""
    is_open: bool
    """Whether the class accepts options that it does not list."""


def module_options(name: str, module: type[nn.Module]) -> ModuleOptions:
    """Return the options of a class.

    Raises:
        ValueError: for a class whose constructor does not have two sizes.
    """
    kinds = inspect.Parameter
    arguments = list(inspect.signature(module).parameters.values())
    sizes = [each.name for each in arguments if each.kind in (kinds.POSITIONAL_ONLY, kinds.POSITIONAL_OR_KEYWORD)][:2]
    if len(sizes) < 2 and not any(each.kind is kinds.VAR_POSITIONAL for each in arguments):
        raise ValueError(f"cell {name!r} is made without sizes: its constructor must be (input_size, hidden_size, ...)")
    named = [each for each in arguments if each.kind in (kinds.POSITIONAL_OR_KEYWORD, kinds.KEYWORD_ONLY)]
    defaults = {each.name: each.default for each in named if each.name not in {*sizes, *SET_BY_TRAINER}}
    hints = hints_of(module.__init__)
    return ModuleOptions(defaults, hints, any(each.kind is kinds.VAR_KEYWORD for each in arguments))


def hints_of(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations of a function; none if one does not exist at run time, or for a partial function."""
    try:
        return get_type_hints(function)
    except Exception:  # an annotation is code of the user
        return {}


def adapt_module(
    name: str, module: type[nn.Module], options: Mapping[str, Any], input_size: int, hidden_size: int
) -> Cell:
    """Return a class of modules as a cell.

    Args:
        name: its name in messages.
        module: the class.
        options: arguments of its constructor besides the sizes.
        input_size: the size with which it is tried.
        hidden_size: likewise.

    Raises:
        ValueError: for a class that cannot be made, or whose modules do not return the next state.
    """
    make = partial(module, **options)
    # A module draws its weights, which must not change the random numbers of the program.
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        try:
            made = make(input_size, hidden_size).eval()
        except Exception as error:
            given = "".join(f", {key}={value!r}" for key, value in options.items())
            raise ValueError(
                f"cell {name!r} cannot be made with ({input_size}, {hidden_size}{given}): {_describe(error)}"
            ) from error
        num_states, is_tuple = _form_of_state(name, made, torch.zeros(BATCH, input_size), hidden_size)
    step = partial(run_module, is_tuple=is_tuple)
    return Cell(step, gates=1, states=num_states, weights=(), module=make)


def _form_of_state(name: str, module: nn.Module, x: Tensor, hidden_size: int) -> tuple[int, bool]:
    """Return the number of tensors in the state of a module, and whether the state is a tuple."""
    tensor = x.new_zeros(len(x), hidden_size)
    forms: list[Tensor | State] = [tensor, *((tensor,) * number for number in (*range(2, MOST_STATES + 1), 1))]
    seen = []
    for state in forms:
        given = "a tensor" if isinstance(state, Tensor) else f"a tuple of {len(state)}"
        try:
            returned = module(x, state)
        except Exception as error:
            seen.append(f"given {given}, it fails with {_describe(error)}")
            continue
        if _shapes(returned) == _shapes(state):
            return (1, False) if isinstance(state, Tensor) else (len(state), True)
        seen.insert(0, f"given {given}, it returns {_shapes(returned)}")
    raise ValueError(
        f"{name!r} is no cell: forward(x_t, state) must return the next state, a tensor {list(tensor.shape)} or a "
        f"tuple of them for a batch of {len(x)} and hidden_size={hidden_size}; {'; '.join(seen[:2])}"
    )


def _shapes(state: object) -> str:
    """Return the shapes of a state in the form of Python."""
    if isinstance(state, Tensor):
        return str(list(state.shape))
    if isinstance(state, Sequence) and not isinstance(state, str):
        return f"({', '.join(map(_shapes, state))})"
    return type(state).__name__


def _describe(error: Exception) -> str:
    return f"{type(error).__name__}: {first_line(error)}"
