"""Imports only go down. docs/architecture.md shows the dictionary below as a table."""

import ast
import re
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import rnnexp
from support import ROOT

PACKAGE = Path(rnnexp.__file__).parent
PLUGINS = PACKAGE.parent / "hydra_plugins"
LAYERS = {
    # programs
    "__main__": 7,
    "train": 7,
    "evaluate": 7,
    "export": 7,
    "predict": 7,
    "translate": 7,
    "benchmark": 7,
    "dashboard": 7,
    "latency": 7,
    "report": 7,
    "hydra_plugins": 7,
    # many runs
    "sweeps": 6,
    # trained networks
    "inference": 6,
    # one run, built from a config
    "runs": 5,
    # command line on top of Hydra
    "cli": 4,
    # modules that Lightning runs
    "tasks": 4,
    "callbacks": 4,
    "data": 3,
    "loggers": 3,
    # networks
    "decoding": 2,
    "models": 2,
    "recurrent": 1,
    # private names of other libraries
    "compat": 1,
    # figures, files of runs
    "plots": 1,
    "text": 1,
    "tracking": 1,
    # shared foundations
    "core": 0,
}
"""The layer of each package. A module imports from its own layer and from those below."""
# Packages that can be used alone, with all that they may import.
ALONE = {
    "recurrent": {"torch", "rnnexp.recurrent", "rnnexp.compat", "rnnexp.core"},
    "models": {"torch", "rnnexp.models", "rnnexp.recurrent", "rnnexp.core", "rnnexp.text"},
    "decoding": {"torch", "rnnexp.decoding", "rnnexp.models", "rnnexp.core", "rnnexp.text"},
}
HYDRA, LIGHTNING = {"hydra", "omegaconf"}, {"lightning"}
USE_HYDRA = {"compat", "cli", "runs", "sweeps", "hydra_plugins"} | {
    *("train", "evaluate", "export", "predict", "translate", "benchmark", "dashboard"),
}
FILES = [*sorted(PACKAGE.rglob("*.py")), *sorted(PLUGINS.rglob("*.py"))]
PROGRAMS = [
    ".".join(path.relative_to(PACKAGE).with_suffix("").parts)
    for path in sorted({*PACKAGE.glob("*.py"), *PACKAGE.rglob("__main__.py")})
    if '__name__ == "__main__"' in path.read_text(encoding="utf-8")
]


def package_of(name: str) -> str:
    """Return the key of `LAYERS` for a module: the package below rnnexp, or hydra_plugins."""
    first, *rest = name.split(".")
    return rest[0] if first == "rnnexp" and rest else first


def module_name(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts)


@cache
def imported_names(path: Path) -> list[str]:
    """Return every dotted name that a file imports, also within functions and under TYPE_CHECKING."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: line {node.lineno} imports relatively"
            assert node.module is not None
            # `from rnnexp import train` imports rnnexp.train.
            names += [f"rnnexp.{alias.name}" for alias in node.names] if node.module == "rnnexp" else [node.module]
    return names


def top_level(name: str) -> str:
    return name.split(".")[0]


def imported_packages(path: Path) -> set[str]:
    """Return the keys of `LAYERS` that a file imports from, without its own package."""
    names = (name for name in imported_names(path) if top_level(name) in ("rnnexp", "hydra_plugins"))
    return {package_of(name) for name in names} - {package_of(module_name(path)), "rnnexp", "__version__"}


MODULES = {module_name(path): path for path in FILES if module_name(path) != "rnnexp.__init__"}


def test_every_package_has_a_layer_and_every_layer_its_packages() -> None:
    packages = {package_of(module_name(path)) for path in FILES} - {"__init__"}
    assert len(FILES) > 200
    assert packages - set(LAYERS) == set(), "add it to LAYERS"
    assert set(LAYERS) - packages == set(), "LAYERS names a package that does not exist"


def test_the_documentation_shows_these_layers() -> None:
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| (\d) \| ([^|]+) \|", page, re.MULTILINE)
    assert [int(layer) for layer, _ in rows] == sorted((int(layer) for layer, _ in rows), reverse=True)
    shown = {package: int(layer) for layer, packages in rows for package in re.findall(r"`(\w+)`", packages)}
    assert shown == LAYERS


def test_imports_only_go_down() -> None:
    assert [
        f"{name} (layer {LAYERS[package_of(name)]}) imports {other} (layer {LAYERS[other]})"
        for name, path in MODULES.items()
        for other in imported_packages(path)
        if LAYERS[other] > LAYERS[package_of(name)]
    ] == []


def test_packages_of_one_layer_have_no_import_cycles() -> None:
    imports = {
        name: set().union(*(imported_packages(path) for path in FILES if package_of(module_name(path)) == name))
        for name in LAYERS
    }
    assert imports["runs"] > {"data", "tasks"}
    left = dict(imports)
    while free := [name for name, needed in left.items() if not needed & set(left)]:
        for name in free:
            del left[name]
    assert not left, "these import each other in a circle"


def test_only_these_packages_import_hydra() -> None:
    importing = {name for name, path in MODULES.items() if HYDRA & set(map(top_level, imported_names(path)))}
    assert {name for name in importing if package_of(name) not in USE_HYDRA} == set()
    assert "rnnexp.cli.main" in importing


def test_only_programs_of_one_task_import_that_task() -> None:
    """Everything else knows tasks by their registry, so a new one changes no other package."""
    folders = {path.name for path in (PACKAGE / "tasks").iterdir() if (path / "__init__.py").exists()}
    assert {"classification", "translation"} <= folders
    for name, path in MODULES.items():
        if package_of(name) not in ("tasks", "translate", "benchmark"):
            of_tasks = [each.split(".")[2] for each in imported_names(path) if each.startswith("rnnexp.tasks.")]
            assert not folders & set(of_tasks), name


def test_packages_below_tasks_do_not_import_lightning() -> None:
    importing = {name for name, path in MODULES.items() if LIGHTNING & set(map(top_level, imported_names(path)))}
    packages = {package_of(name) for name in importing} - {"compat"}
    assert {package for package in packages if LAYERS[package] < LAYERS["data"]} == set()
    assert "callbacks" in packages


@pytest.mark.parametrize("name", ALONE)
def test_can_be_used_alone(name: str) -> None:
    files = [path for path in FILES if package_of(module_name(path)) == name]
    names = {imported for path in files for imported in imported_names(path)}
    assert f"rnnexp.{name}" in {".".join(imported.split(".")[:2]) for imported in names}
    for imported in names:
        if top_level(imported) not in sys.stdlib_module_names:
            allowed = ALONE[name]
            assert top_level(imported) in allowed or ".".join(imported.split(".")[:2]) in allowed, imported


def test_programs_are_found() -> None:
    names = ("benchmark", "dashboard", "export", "latency", "report", "runs", "translate")
    packages = [f"{name}.__main__" for name in names]
    assert sorted(PROGRAMS) == sorted(["__main__", "evaluate", "predict", "train", *packages])


@pytest.mark.parametrize("module", PROGRAMS)
def test_a_program_imports_no_slow_package(module: str) -> None:
    code = f"import sys, rnnexp.{module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "rnnexp" in loaded
    assert not loaded & {"torch", "lightning", "torchmetrics", "matplotlib", "wandb", "numpy", "scipy"}


@pytest.mark.parametrize("module", PROGRAMS)
def test_a_program_is_short(module: str) -> None:
    assert len((PACKAGE / f"{module.replace('.', '/')}.py").read_text(encoding="utf-8").splitlines()) <= 60


def folders() -> dict[str, int]:
    """Return the number of modules of each folder, `__init__` aside."""
    found = {path.parent for path in FILES}
    return {module_name(folder): sum(path.name != "__init__.py" for path in folder.glob("*.py")) for folder in found}


SHORT_MODULES = {
    "hydra_plugins.rnnexp.open_nodes": "registered by Hydra at start",
    "rnnexp.core.allocator": "one setting of the C library, apart from all other code",
    "rnnexp.core.clock": "imports torch, which no other module of core needs",
    "rnnexp.compat.optuna": "private names of a library have a module of their own",
    "rnnexp.compat.torch_compile": "private names of a library have a module of their own",
    "rnnexp.compat.torch_cpu": "private names of a library have a module of their own",
    "rnnexp.compat.torch_scan": "private names of a library have a module of their own",
    "rnnexp.compat.torch_distributed": "private names of a library have a module of their own",
    "rnnexp.compat.wandb_workspaces": "private names of a library have a module of their own",
    "rnnexp.core.types": "types that packages of all layers share",
    "rnnexp.core.utf8": "called by programs with and without Hydra",
    "rnnexp.data.corpora.phrasebook.draw": "random choices that every part of the grammar shares",
    "rnnexp.loggers.connection": "shared by loggers of which each imports a package of its own",
    "rnnexp.report.options": "the command line of a program, which is short",
    "rnnexp.sweeps.process.preload": "imported by the fork server alone: it sets a variable for the whole process",
    **{f"rnnexp.tasks.{name}.predictor": "imported without Lightning" for name in ("classification", "tagging")},
    "rnnexp.tasks.callbacks": "base classes that callbacks/ and tasks of their own share",
    "rnnexp.text.tokenizer_pair": "the type that data, models and translate share",
    "rnnexp.text.vocabulary": "ids of the special tokens, for models that import no tokenizer",
    "rnnexp.tracking.stopwatch": "the time since the process started",
}
"""Modules under 30 lines, with the reason why each is a module of its own."""


def test_a_short_module_has_a_reason() -> None:
    short = {
        module_name(path)
        for path in FILES
        if path.name != "__init__.py"
        and module_name(path).removeprefix("rnnexp.") not in PROGRAMS
        and len(path.read_text(encoding="utf-8").splitlines()) < 30
    }
    assert short == set(SHORT_MODULES)


def test_no_folder_is_crowded() -> None:
    counts = folders()
    assert len(counts) > 20
    assert {name: count for name, count in counts.items() if count > 13} == {}
