"""Configs of run directories, which may be another person's, checked before anything that they name is called.

A `_target_` may stand only where one stands in `conf/`, and name only what `conf/` names there. The user's own modules
are admitted by `trust=[module]`, which is read from the command line alone.
"""

import functools
import pkgutil
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from rnnexp.cli.conf_dir import config_root
from rnnexp.core.errors import UserError
from rnnexp.core.user_code import describe_user_code
from rnnexp.recurrent.cells import CELLS, Cell
from rnnexp.tracking.config_file import LOADER, walk
from rnnexp.tracking.identity import HARMLESS_CALLBACKS
from rnnexp.tracking.run_directory import RunDirectory

RESERVED = ("_target_", "_partial_", "_args_", "_convert_", "_recursive_")
"""Keys that Hydra interprets when it makes an object."""
ALL_GROUPS = ("data", "task", "model", "optimizer", "scheduler", "trainer", "callbacks", "logger")
NAMED = ("callbacks", "logger")
"""Groups of which each entry is an object."""
OF_HYDRA = ("hydra", "defaults")
"""Keys that Hydra interprets when it composes a config; a frozen config is not composed."""
LIBRARIES = {"optimizer": "torch.optim", "scheduler": "torch.optim.lr_scheduler"}
"""Groups -> modules each class of which may stand there. The constructors take plain values and call none of them."""
LIGHTNING = "lightning.pytorch.callbacks."
WRITING = ("callbacks", "logger", "trainer")
"""Groups whose objects write files."""
PATH_KEYS = ("checkpoint", "default_root_dir", "dirpath", "path", "root_dir", "save_dir", "storage")
FETCHING = ("mirrors", "download_from")
"""Keys of the group `data` that say from where missing files are fetched."""


class UntrustedError(UserError):
    """A config names code of a module that the user has not admitted.

    Args:
        message: what is refused, up to the argument that admits it.
        modules: the modules to admit, with those that are admitted already.
    """

    def __init__(self, message: str, modules: Sequence[str]) -> None:
        super().__init__(f"{message}trust=[{','.join(modules)}]")
        self.message, self.modules = message, modules


def read_frozen_config(
    run: RunDirectory, trust: Sequence[str], groups: Sequence[str] = ALL_GROUPS, given: Collection[str] = ()
) -> dict[str, Any]:
    """Return the config of a run, from which objects can be made safely.

    Args:
        run: the run directory.
        trust: modules, or starts of dotted names, whose code may be imported and called.
        groups: the config groups from which objects will be made.
        given: the config keys that get another value, from the user; those of the file are not used.

    Raises:
        UserError: for a file that is not the config of this run, see `RunDirectory.read_config`, and for a value that
            would call or import anything else, with its key.
    """
    config = run.read_config()
    for key in OF_HYDRA:
        if key in config:
            raise _refused(run, key, config[key], "a frozen config is not composed")
    for group in groups:
        for place, node in _objects(group, config.get(group)):
            if not any(is_within(place, key) for key in given):
                _check_object(run, place, node, trust)
    _require_trusted_cell(run, config["model"].get("cell"), trust)
    return config


def trusted_modules(value: object) -> list[str]:
    """Return the value of the key `trust`.

    Raises:
        UserError: if it is not a list of names.
    """
    if not isinstance(value, list) or not all(isinstance(name, str) and name for name in value):
        raise UserError(f"trust must be a list of modules, not {value!r}: write trust=[my_cells]")
    return list(value)


def without_addresses(data: Mapping[str, Any]) -> dict[str, Any]:
    """Return the values of the config group `data` with which files are fetched from the published addresses alone."""
    return {"mirrors": None} if data.get("mirrors") else {}


def without_fetching(data: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Return the values of the config group `data` with which missing files are not fetched.

    Args:
        data: the config group `data` of a run.
        given: the keys that the user gives on the command line. If one says where the data are, missing files are
            fetched there, from the published addresses or the user's.
    """
    if {"root", *FETCHING} & set(given):
        return without_addresses(data)
    return {key: [] for key in FETCHING if key in data}


def require_own_paths(config: Mapping[str, Any], run: RunDirectory, given: Collection[str]) -> None:
    """Raise UserError for a callback or logger that would write outside the run directory or to a server.

    Args:
        config: the config of a run that continues, with paths that followed its directory.
        run: the run directory.
        given: the config keys that the user gives on the command line.
    """
    for group in WRITING:
        for place, key, value in walk(config.get(group), group):
            if not isinstance(value, str):
                continue
            full = f"{place}.{key}"
            is_given = any(is_within(full, name) for name in given)
            if not is_given and _is_path(key, value) and not _is_own_path(value, run):
                raise _refused(
                    run, full, value, f"it is outside the run directory: if you want it, give {full}= as well"
                )


def _is_path(key: str, value: str) -> bool:
    return key in PATH_KEYS or value.startswith(("/", "~")) or "://" in value or ".." in value.split("/")


def _is_own_path(value: str, run: RunDirectory) -> bool:
    # The study of a search is in the directory of the sweep, <sweep>/jobs/<run>.
    places = (run.path.resolve(), run.path.resolve().parents[1] / "study")
    return "://" not in value and any(Path(value).resolve().is_relative_to(place) for place in places)


def untrusted_modules(config: Mapping[str, Any]) -> list[str]:
    """Return the modules that `trust=` must name so that the run of this config can be evaluated or continued."""
    targets = [
        target
        for group in ALL_GROUPS
        for place, key, target in walk(config.get(group), group)
        if key == "_target_" and not _is_shipped(place, target)
    ]
    cell = config["model"].get("cell")
    if isinstance(cell, str) and cell not in CELLS:
        targets.append(cell)
    return sorted({str(target).partition(".")[0] for target in targets})


def _objects(group: str, node: Any) -> list[tuple[str, Any]]:  # noqa: ANN401
    """Return the nodes of a group that describe an object, with their places."""
    if group not in NAMED:
        return [(group, node)]
    return [(f"{group}.{name}", each) for name, each in (node or {}).items() if each is not None]


def _check_object(run: RunDirectory, place: str, node: Any, trust: Sequence[str]) -> None:  # noqa: ANN401
    target = node.get("_target_") if isinstance(node, Mapping) else node
    if not isinstance(node, Mapping) or not isinstance(target, str):
        raise _refused(run, f"{place}._target_", target, "it must be the name of a class")
    _check(run, place, node, trust, is_trusted=False)


def _check(run: RunDirectory, place: str, node: object, trust: Sequence[str], is_trusted: bool) -> None:
    """Raise UserError for a reserved key in or below a node, unless the node may have it or trusted code gets it."""
    if isinstance(node, list):
        for number, item in enumerate(node):
            _check(run, f"{place}.{number}", item, trust, is_trusted)
    if not isinstance(node, Mapping):
        return
    target = node.get("_target_")
    if target is not None and not _is_shipped(place, target):
        _require_trusted(run, f"{place}._target_", target, trust)
        is_trusted = True
    for key, value in node.items():
        if key in RESERVED and not is_trusted and not _may_stand(place, str(key), value):
            raise _refused(run, f"{place}.{key}", value, "nothing is called here")
        _check(run, f"{place}.{key}", value, trust, is_trusted)


def _may_stand(place: str, key: str, value: object) -> bool:
    # A list, which _args_ may be, cannot be looked up.
    return key == "_target_" or (isinstance(value, bool) and (key, value) in _shipped().get(_pattern(place), ()))


def _is_shipped(place: str, target: object) -> bool:
    pattern = _pattern(place)
    if not isinstance(target, str):
        return False
    if ("_target_", target) in _shipped().get(pattern, ()):
        return True
    module, _, name = target.rpartition(".")
    return module == LIBRARIES.get(pattern) and name.isidentifier() and name[0].isupper()


def _require_trusted(run: RunDirectory, key: str, target: object, trust: Sequence[str]) -> None:
    """Raise UserError unless a name is in a trusted module, and so is the object that it names."""
    name = str(target)
    if not any(is_within(name, module) for module in trust):
        raise _untrusted(run, key, target, "rnnexp does not make it here", name, trust)
    try:
        found = pkgutil.resolve_name(name)
    except Exception as error:
        raise UserError(
            f"{run.config_file}: {key}={name!r} does not import: {describe_user_code(error) or error}"
        ) from None
    # A trusted module has names of other modules in it: my_cells.os.system is not the user's.
    defined = f"{getattr(found, '__module__', None)}.{getattr(found, '__qualname__', '')}"
    if not isinstance(found, Cell) and not any(is_within(defined, module) for module in trust):
        raise _untrusted(run, key, target, f"it is {defined}", defined, trust)


def _require_trusted_cell(run: RunDirectory, cell: object, trust: Sequence[str]) -> None:
    """Raise UserError for a cell of a module that is not trusted: a stack imports the module that its cell names."""
    if isinstance(cell, str) and cell not in CELLS:
        _require_trusted(run, "model.cell", cell, trust)


def is_within(name: str, module: str) -> bool:
    """Return whether a dotted name is that of a module, or of something below it."""
    return name == module or name.startswith(f"{module}.")


def _untrusted(
    run: RunDirectory, key: str, value: object, reason: str, name: str, trust: Sequence[str]
) -> UntrustedError:
    modules = list(dict.fromkeys([*trust, name.partition(".")[0]]))
    return UntrustedError(str(_refused(run, key, value, f"{reason}: if you trust it, add ")), modules)


def _refused(run: RunDirectory, key: str, value: object, reason: str) -> UserError:
    return UserError(f"{run.config_file}: {key}={repr(value)[:100]} is refused: {reason}")


@functools.cache
def _shipped() -> Mapping[str, frozenset[tuple[str, object]]]:
    """Return the reserved keys of `conf/` with their values, by the place at which they stand."""
    places: dict[str, set[tuple[str, object]]] = {"callbacks.*": set()}
    places["callbacks.*"] |= {("_target_", LIGHTNING + name) for name in HARMLESS_CALLBACKS[LIGHTNING]}
    root = config_root()
    for file in root.rglob("*.yaml"):
        text = file.read_text(encoding="utf-8")
        group = "" if "@package _global_" in text else ".".join(file.relative_to(root).parts[:-1])
        for place, key, value in walk(yaml.load(text, Loader=LOADER), group):  # noqa: S506 (a safe loader)
            if key in RESERVED:
                places.setdefault(_pattern(place), set()).add((key, value))
    return {place: frozenset(keys) for place, keys in places.items()}


def _pattern(place: str) -> str:
    """Return a place with `*` for the name of a callback or logger."""
    group, *names = place.split(".")
    return ".".join([group, "*", *names[1:]]) if group in NAMED and names else place
