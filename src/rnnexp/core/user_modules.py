"""The user's own modules: the directory of their import, and their source files, found without importing them."""

import ast
import importlib.machinery
import importlib.util
import sys
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

import rnnexp
from rnnexp.core.errors import UserError

INSTALLED = {"site-packages", "dist-packages"}
"""Directories of installed packages, whose versions environment.json records."""
PACKAGE = Path(rnnexp.__file__).parent
NOT_OWN = (PACKAGE, *(Path(sysconfig.get_path(name)) for name in ("stdlib", "platstdlib")))


def add_working_directory() -> None:
    """Let modules of the user be imported from the working directory. `python -m` does so; a console script does not.

    Raises:
        UserError: if the directory has been deleted.
    """
    try:
        here = str(Path.cwd())
    except FileNotFoundError:
        raise UserError("the working directory has been deleted: change to another") from None
    if not {"", here} & set(sys.path):
        sys.path.insert(0, here)


def user_modules(names: Iterable[str]) -> dict[str, Path]:
    """Return the source files of modules that are neither installed nor of rnnexp, and of those that they import.

    Args:
        names: dotted names of objects or modules, such as `my_cells.mgu`; other names are ignored.

    Returns:
        Module name -> file. A package is a module of its own, `__init__.py`.
    """
    found: dict[str, Path] = {}
    pending = list(names)
    while pending:
        for module, path in _modules_on_the_way(pending.pop()):
            if module not in found:
                found[module] = path
                pending += _imported_names(module, path)
    return found


def _modules_on_the_way(name: str) -> Iterator[tuple[str, Path]]:
    """Yield the modules `a`, `a.b` ... of a dotted name that have a source file of the user."""
    module, *rest = name.split(".")
    spec = _find_top_level(module)
    while spec is not None:
        if spec.origin is not None and spec.has_location:
            if not is_own(path := Path(spec.origin)):
                return
            yield module, path
        if not rest or spec.submodule_search_locations is None:
            return
        module = f"{module}.{rest.pop(0)}"
        spec = _find_in(spec.submodule_search_locations, module)


def _find_top_level(name: str) -> importlib.machinery.ModuleSpec | None:
    try:
        return importlib.util.find_spec(name) if name.isidentifier() else None
    except (ImportError, ValueError):
        # A module such as __main__ that was not imported from a file.
        return None


def _find_in(directories: Iterable[str], name: str) -> importlib.machinery.ModuleSpec | None:
    # The finder of sys.path needs the parent of a package without __init__.py to be imported.
    portions: list[str] = []
    for directory in directories:
        source_files = (importlib.machinery.SourceFileLoader, importlib.machinery.SOURCE_SUFFIXES)
        spec = importlib.machinery.FileFinder(directory, source_files).find_spec(name)
        if spec is not None and spec.loader is not None:
            return spec
        portions += (spec and spec.submodule_search_locations) or []
    if not portions:
        return None
    package = importlib.machinery.ModuleSpec(name, None, is_package=True)
    package.submodule_search_locations = portions
    return package


@cache
def is_own(path: Path) -> bool:
    """Return whether a source file is neither installed nor of rnnexp nor of Python."""
    if INSTALLED & set(path.parts) or any(path.is_relative_to(place) for place in NOT_OWN):
        return False
    places = [Path(place).absolute() for place in sys.path]
    return not any(path.is_relative_to(place) and _holds_packages(place) for place in places)


@cache
def _holds_packages(directory: Path) -> bool:
    """Return whether packages were installed in a directory, as by `pip install --target`."""
    return next(directory.glob("*.dist-info"), None) is not None


def _imported_names(module: str, path: Path) -> list[str]:
    """Return the absolute names of everything that a source file imports."""
    try:
        tree = ast.parse(path.read_bytes())
    except (OSError, ValueError, SyntaxError):
        # The import reports it.
        return []
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    names = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            parents = package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            base = ".".join([*parents, *([node.module] if node.module else [])])
            names += [f"{base}.{alias.name}" for alias in node.names]
    return names
