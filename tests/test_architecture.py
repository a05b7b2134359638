"""Imports only go down. The dict below is the architecture diagram."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import rnnexp

PACKAGE = Path(rnnexp.__file__).parent
FLOORS = {
    # programs
    "train": 5,
    "evaluate": 5,
    "translate": 5,
    "benchmark": 5,
    "dashboard": 5,
    "report": 5,
    # from a command line to an experiment
    "launch": 4,
    # from finished runs to an answer
    "comparison": 4,
    # how fast that goes
    "speed": 4,
    # what Lightning runs
    "tasks": 3,
    "data": 3,
    "callbacks": 3,
    "loggers": 3,
    "translator": 3,
    # networks
    "models": 2,
    "decoding": 2,
    # what everything stands on
    "recurrent": 1,
    "arguments": 1,
    "batches": 1,
    "errors": 1,
    "figures": 1,
    "files": 1,
    "metrics": 1,
    "terminal_map": 1,
    "translation_figures": 1,
    "translation_scores": 1,
    "tracking": 1,
    "vocabulary": 1,
}
# Parts that can be lifted out and used alone, with all that they may import.
ALONE = {
    "recurrent": {"torch", "rnnexp.recurrent", "rnnexp.arguments"},
    "models": {"torch", "rnnexp.models", "rnnexp.recurrent", "rnnexp.arguments", "rnnexp.vocabulary"},
    "decoding": {"torch", "rnnexp.decoding", "rnnexp.models", "rnnexp.arguments", "rnnexp.vocabulary"},
}
HYDRA, LIGHTNING = {"hydra", "omegaconf"}, {"lightning"}
FILES = sorted(PACKAGE.rglob("*.py"))


def part(path: Path) -> str:
    """The name by which the dict knows a file: its package under rnnexp, or its own name."""
    return path.relative_to(PACKAGE).with_suffix("").parts[0]


def imported_names(path: Path) -> list[str]:
    """Every name that the file imports, wherever in it, with dots."""
    names: list[str] = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: line {node.lineno} imports relatively"
            assert node.module is not None
            # `from rnnexp import figures` imports rnnexp.figures.
            names += [f"rnnexp.{alias.name}" for alias in node.names] if node.module == "rnnexp" else [node.module]
    return names


def top_level(name: str) -> str:
    return name.split(".")[0]


@pytest.fixture(
    params=[path for path in FILES if part(path) != "__init__"], ids=lambda path: str(path.relative_to(PACKAGE))
)
def file(request: pytest.FixtureRequest) -> Path:
    path: Path = request.param
    return path


def test_every_part_has_a_floor_and_every_floor_its_parts() -> None:
    parts = {part(path) for path in FILES} - {"__init__"}
    assert len(FILES) > 30
    assert parts - set(FLOORS) == set(), "say in FLOORS where it belongs"
    assert set(FLOORS) - parts == set(), "FLOORS names what is not there"


def test_imports_only_go_down(file: Path) -> None:
    for name in imported_names(file):
        if top_level(name) == "rnnexp" and name != "rnnexp":
            other = name.split(".")[1]
            if other != part(file) and other != "__version__":
                here, there = FLOORS[part(file)], FLOORS[other]
                assert there <= here, f"{part(file)} (floor {here}) imports {name} (floor {there})"


def test_parts_of_one_floor_do_not_import_each_other_in_circles() -> None:
    imports = {
        name: {
            other.split(".")[1]
            for path in FILES
            if part(path) == name
            for other in imported_names(path)
            if other.startswith("rnnexp.") and other.split(".")[1] not in (name, "__version__")
        }
        for name in FLOORS
    }
    assert imports["launch"] > {"data", "tasks"}
    left = dict(imports)
    while free := [name for name, needed in left.items() if not needed & set(left)]:
        for name in free:
            del left[name]
    assert not left, "these import each other in a circle"


def test_only_the_two_upper_floors_know_hydra(file: Path) -> None:
    if FLOORS[part(file)] < 4:
        assert not HYDRA & set(map(top_level, imported_names(file)))


def test_nothing_below_tasks_knows_lightning(file: Path) -> None:
    if FLOORS[part(file)] < 3:
        assert not LIGHTNING & set(map(top_level, imported_names(file)))


@pytest.mark.parametrize("name", ALONE)
def test_can_be_lifted_out(name: str) -> None:
    names = {imported for path in FILES if part(path) == name for imported in imported_names(path)}
    assert f"rnnexp.{name}" in {".".join(imported.split(".")[:2]) for imported in names}
    for imported in names - set(sys.stdlib_module_names):
        if top_level(imported) not in sys.stdlib_module_names:
            allowed = ALONE[name]
            assert top_level(imported) in allowed or ".".join(imported.split(".")[:2]) in allowed, imported


PROGRAMS = [path.stem for path in sorted(PACKAGE.glob("*.py")) if '__name__ == "__main__"' in path.read_text()]


def test_programs_are_found() -> None:
    assert PROGRAMS == ["benchmark", "dashboard", "evaluate", "report", "train", "translate"]


@pytest.mark.parametrize("module", PROGRAMS)
def test_a_program_is_cheap_to_import(module: str) -> None:
    code = f"import sys, rnnexp.{module}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.split())
    assert "rnnexp" in loaded
    assert not loaded & {"torch", "lightning", "torchmetrics", "matplotlib", "wandb", "numpy", "scipy"}


@pytest.mark.parametrize("module", PROGRAMS)
def test_a_program_reads_as_a_table_of_contents(module: str) -> None:
    assert len((PACKAGE / f"{module}.py").read_text().splitlines()) <= 60
