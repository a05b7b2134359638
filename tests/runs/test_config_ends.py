"""Only the modules that build objects use the config; other functions take values and modules."""

import ast
from pathlib import Path

import pytest

import rnnexp

PACKAGE = Path(rnnexp.__file__).parent
CONFIG_TYPES = {"DictConfig", "ListConfig", "OmegaConf", "open_dict"}
# Modules that may hold a config, and why.
ALLOWED = {
    "cli": "Hydra's command line",
    "compat": "private names of OmegaConf",
    "train.py": "a program is called with its config",
    "evaluate.py": "a program is called with its config",
    "predict.py": "a program is called with its config",
    "export/__main__.py": "a program is called with its config",
    "translate/__main__.py": "a program is called with its config",
    "benchmark/__main__.py": "a program is called with its config",
    "dashboard/__main__.py": "a program is called with its config",
    "runs/create.py": "resolves the config of a run into plain values",
    "runs/frozen/resume.py": "applies overrides to the config of an earlier run",
    "sweeps/compose.py": "composes the configs of jobs",
    "sweeps/templates.py": "composes the configs of jobs with the same options once",
    "benchmark/workbench.py": "changes single values of a config between measurements",
    "translate/options.py": "reads the options of the program",
    "dashboard/options.py": "reads the options of the program",
}
FILES = sorted(PACKAGE.rglob("*.py"))


def config_types(path: Path) -> set[str]:
    """Return what a module imports of OmegaConf, also under TYPE_CHECKING and within functions."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and str(node.module).startswith("omegaconf"):
            names |= {alias.name for alias in node.names} & CONFIG_TYPES
        elif isinstance(node, ast.Import) and any(alias.name.startswith("omegaconf") for alias in node.names):
            names.add("omegaconf")
    return names


def test_modules_exist() -> None:
    assert config_types(PACKAGE / "train.py") == {"DictConfig"}
    assert len(FILES) > 200


@pytest.mark.parametrize("name", ALLOWED)
def test_each_allowed_module_needs_it(name: str) -> None:
    path = PACKAGE / name
    assert any(config_types(file) for file in (path.rglob("*.py") if path.is_dir() else [path]))


def test_only_these_modules_know_the_config() -> None:
    for path in FILES:
        name = str(path.relative_to(PACKAGE))
        if name not in ALLOWED and name.partition("/")[0] not in ALLOWED:
            assert not config_types(path), f"{name} takes a config: pass it values, or add it to ALLOWED with a reason"
