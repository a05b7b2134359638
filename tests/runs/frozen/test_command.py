"""A config that was frozen into a run directory is loaded unchanged, and Hydra adds no keys."""

import itertools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from omegaconf import DictConfig, OmegaConf

from rnnexp.runs.create import resolved
from rnnexp.runs.frozen.command import frozen_command
from rnnexp.tracking.config_file import escape_interpolations
from support.launching import Launch

PROGRAM = """
import json, logging
from omegaconf import OmegaConf
from rnnexp.cli.main import run_program

def probe(config):
    print(json.dumps({"config": OmegaConf.to_container(config, resolve=True), "handlers": len(logging.root.handlers)}))

def main():
    run_program("train", probe)

if __name__ == "__main__":
    main()
"""

AWKWARD: dict[str, Any] = {
    "name": "a name with spaces, 'quotes' and \"more\"",
    "price": "$5 and $HOME",
    "reference": "${not.one}",
    "resolver": "${oc.env:HOME}",
    "escaped": "\\${x} \\\\${y} C:\\dir",
    "nested": [{"a": None, "b": [True, 1.5, "1.5", "null", ""]}, "é=ü,{x: 1}"],
    "learning_rate": 1e-05,
    "hydra_like": {"run": {"dir": "."}},
    # A config with this node is frozen: its other nodes were checked when it was composed.
    "inputs": [],
}


def frozen(run_dir: Path, values: dict[str, Any]) -> Path:
    run_dir.mkdir(parents=True)
    (run_dir / "config.yaml").write_text(
        yaml.safe_dump(escape_interpolations(values), sort_keys=False, allow_unicode=True), encoding="utf-8"
    )
    return run_dir


def run_again(run_dir: Path, tmp_path: Path) -> dict[str, Any]:
    """Return the values that a program gets when the frozen command starts it in an empty directory."""
    modules, elsewhere = tmp_path / "modules", tmp_path / "elsewhere"
    modules.mkdir()
    elsewhere.mkdir()
    (modules / "probe.py").write_text(PROGRAM, encoding="utf-8")
    before = sorted(run_dir.iterdir())
    ended = subprocess.run(
        frozen_command(run_dir, module="probe"),
        cwd=elsewhere,
        env=os.environ | {"PYTHONPATH": str(modules), "PYTHONDONTWRITEBYTECODE": "1"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stderr == ""
    assert list(elsewhere.iterdir()) == []
    assert sorted(run_dir.iterdir()) == before
    seen: dict[str, Any] = json.loads(ended.stdout)
    return seen


def test_special_characters_in_values_and_in_the_directory(tmp_path: Path) -> None:
    run_dir = frozen(tmp_path / "runs" / "seed=1,tags=['a b'] é", AWKWARD)
    assert run_again(run_dir, tmp_path) == {"config": AWKWARD, "handlers": 0}


def test_a_real_config(launch: Any, tmp_path: Path) -> None:
    values: dict[str, Any] = {}

    def keep(config: DictConfig) -> None:
        values.update(resolved(config))

    launch(keep, "model=birnn", "tags=['costs $5',b]", "paths.outputs_dir='/a b/${seed}'")
    assert values["paths"]["outputs_dir"] == "/a b/1"
    assert values["tags"] == ["costs $5", "b"]
    assert run_again(frozen(tmp_path / "run", values), tmp_path)["config"] == values


def test_a_relative_run_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    frozen(tmp_path / "outputs" / "run", {"seed": 3, "inputs": []})
    monkeypatch.chdir(tmp_path)
    assert run_again(Path("outputs/run"), tmp_path)["config"] == {"seed": 3, "inputs": []}


def test_every_short_text_is_read_back() -> None:
    texts = ["".join(letters) for letters in itertools.product(("\\", "${", "}", "x"), repeat=4)]
    assert len(texts) == 256
    config = OmegaConf.create({"texts": escape_interpolations(texts)})
    assert OmegaConf.to_container(config, resolve=True) == {"texts": texts}


def test_only_the_config_of_a_run_directory_is_read(tmp_path: Path, launch: Launch) -> None:
    """Hydra prefers an option beside the config to one of its own that is made in code, and calls its callbacks."""
    run_dir = frozen(tmp_path / "run", {"inputs": []})
    (run_dir / "status.json").write_text("{}", encoding="utf-8")
    option = {"_target_": "hydra._internal.core_plugins.basic_launcher.BasicLauncher"}
    callback = {"_target_": "builtins.open", "file": str(tmp_path / "canary"), "mode": "w"}
    for name, content in (
        ("hydra/launcher/basic", {"defaults": ["/beside@_global_"], **option}),
        ("beside", {"hydra": {"callbacks": {"mine": callback}}}),
    ):
        (run_dir / name).parent.mkdir(parents=True, exist_ok=True)
        (run_dir / f"{name}.yaml").write_text(yaml.safe_dump(content, sort_keys=False), encoding="utf-8")
    ended = launch(lambda _: 0, *frozen_command(run_dir)[3:])
    assert ended.exit_code == 0, ended.stderr
    assert not (tmp_path / "canary").exists()
