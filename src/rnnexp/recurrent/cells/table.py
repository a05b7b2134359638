"""The table of cells, and the choice of a cell with its options by name."""

import inspect
import itertools
from collections.abc import Iterator, Mapping
from contextlib import suppress
from importlib import import_module
from types import ModuleType
from typing import Any, Literal, NamedTuple, get_args, get_origin

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rnnexp.core.errors import first_line
from rnnexp.core.validation import did_you_mean, lookup, validate_choice
from rnnexp.recurrent.cells.cell import WEIGHTS, Cell, CellFactory, Recurrence, State
from rnnexp.recurrent.cells.gated import make_cifg, make_janet, make_mgu, make_peephole_lstm, make_slstm
from rnnexp.recurrent.cells.independent import MIN_GRU, MIN_LSTM, make_indrnn
from rnnexp.recurrent.cells.modules import adapt_module, hints_of, module_options
from rnnexp.recurrent.cells.ode import make_antisymmetric, make_cornn, make_lem
from rnnexp.recurrent.cells.standard import make_gru, make_lstm, make_srn

CELLS: dict[str, Cell | CellFactory] = {
    "srn": make_srn,
    "lstm": make_lstm,
    "gru": make_gru,
    "peephole_lstm": make_peephole_lstm,
    "cifg": make_cifg,
    "mgu": make_mgu,
    "janet": make_janet,
    "slstm": make_slstm,
    "indrnn": make_indrnn,
    "min_gru": MIN_GRU,
    "min_lstm": MIN_LSTM,
    "antisymmetric": make_antisymmetric,
    "cornn": make_cornn,
    "lem": make_lem,
}


CellLike = Cell | CellFactory | type[nn.Module]
"""A cell, a function that makes one, or a class of modules in the form of torch.nn, such as torch.nn.GRUCell."""
PLAIN = (str, int, float, bool, type(None))
"""The types of options that the record of a run can hold."""


class NamedCell(NamedTuple):
    """A cell with its name and its options."""

    name: str
    cell: Cell
    options: dict[str, Any]
    """Every option of the cell, with its value; of a class in the form of torch.nn those that are numbers or text."""


def make_cell(
    cell: str | CellLike, options: Mapping[str, Any] | None = None, input_size: int = 3, hidden_size: int = 16
) -> NamedCell:
    """Make a cell.

    Args:
        cell: a name in `CELLS`; `module.name` of a module that Python can import; or what such a name may stand for.
        options: option -> value; other options have their defaults.
        input_size: the size with which a class in the form of torch.nn is tried.
        hidden_size: likewise.

    Raises:
        ValueError: for an unknown name, an unknown option, an invalid value, a step that returns another state than
            the cell declares, a weight that the step never uses, or a class of another form.
    """
    found = _find_cell(cell) if isinstance(cell, str) else cell
    given = dict(options or {})
    if isinstance(found, type):
        name = cell if isinstance(cell, str) else found.__name__
        return _make_module_cell(name, found, given, input_size, hidden_size)
    if isinstance(found, Cell):
        name = cell if isinstance(cell, str) else str(getattr(found.step, "__name__", "cell"))
        _validate_options(name, given, [])
        return NamedCell(name, _require_sound(name, found), {})
    name = cell if isinstance(cell, str) else str(getattr(found, "__name__", "cell"))
    defaults = {key: argument.default for key, argument in inspect.signature(found).parameters.items()}
    _validate_options(name, given, list(defaults))
    if missing := _missing(defaults, given):
        raise ValueError(
            f"cell {name!r} is a function of {', '.join(missing)} without defaults: name a Cell, or a function of "
            "options that returns one"
        )
    for key, value in given.items():
        _validate_value(key, value, hints_of(found).get(key))
    made = found(**given)
    if not isinstance(made, Cell):
        raise ValueError(f"cell {name!r} returns {type(made).__name__}: it must return a Cell")  # noqa: TRY004
    if cell not in CELLS:
        _require_sound(name, made)
    return NamedCell(name, made, defaults | given)


def _make_module_cell(
    name: str, found: type[nn.Module], given: dict[str, Any], input_size: int, hidden_size: int
) -> NamedCell:
    """Make a cell of a class in the form of torch.nn. Its options are the arguments of the constructor."""
    if not issubclass(found, nn.Module):
        raise ValueError(f"cell {name!r} is no class of modules: name a Cell, or a subclass of torch.nn.Module")  # noqa: TRY004
    defaults, hints, is_open = module_options(name, found)
    if not is_open:
        _validate_options(name, given, list(defaults))
    if missing := _missing(defaults, given):
        raise ValueError(f"cell {name!r} needs {', '.join(missing)}: give model.cell_options.{missing[0]}=")
    for key, value in given.items():
        _validate_value(key, value, hints.get(key))
    options = {key: value for key, value in (defaults | given).items() if isinstance(value, PLAIN)}
    return NamedCell(name, adapt_module(name, found, given, input_size, hidden_size), options)


def _missing(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> list[str]:
    return [key for key, default in defaults.items() if default is inspect.Parameter.empty and key not in given]


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
        try:
            used = torch.autograd.grad(total, list(weights.values()), allow_unused=True)
        except RuntimeError as error:
            reason = str(error).partition(": [")[0]
            raise ValueError(
                f"cell {name!r} has no gradient: its step must make new tensors, and must not change its arguments "
                f"with mul_, += and the like ({reason})"
            ) from None
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


def variants(name: str) -> Iterator[dict[str, Any]]:
    """Return the options of every variant of a cell in `CELLS`: the values of options that have a list, in all ways.

    Values that exclude each other are left out.
    """
    cell = CELLS[name]
    hints = {} if isinstance(cell, Cell) else hints_of(cell)
    lists = {name: get_args(hint) for name, hint in hints.items() if get_origin(hint) is Literal}
    lists |= {name: (False, True) for name, hint in hints.items() if hint is bool}
    for values in itertools.product(*lists.values()):
        options = dict(zip(lists, values, strict=True))
        with suppress(ValueError):
            make_cell(name, options)
            yield options


def _find_cell(name: str) -> CellLike:
    module_name, _, attribute = name.rpartition(".")
    if not module_name:
        return lookup("cell", name, CELLS)
    module = _import_module(name, module_name)
    found = getattr(module, attribute, None)
    if not isinstance(found, Cell | type) and not inspect.isfunction(found):
        names = [key for key, value in vars(module).items() if _is_cell_of(module, value)]
        choices = f"choose one of {', '.join(names)}{did_you_mean(attribute, names)}" if names else "it has none"
        raise ValueError(f"unknown cell {name!r}, not among the cells of {module_name}: {choices}")
    return found


def _is_cell_of(module: ModuleType, value: object) -> bool:
    """Return whether a value of a module is a cell: a Cell, a function of the module that returns one, or a class."""
    if isinstance(value, type):
        is_named = value.__name__.endswith("Cell") or value.__module__ == module.__name__
        return is_named and issubclass(value, nn.Module)
    if not inspect.isfunction(value) or value.__module__ != module.__name__:
        return isinstance(value, Cell)
    return hints_of(value).get("return") is Cell


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
