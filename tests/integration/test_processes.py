"""Behavior that needs a separate process: its locale and its imports."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from rnnexp.core.files.atomic import read_json
from support.programs import run_directories

# What torchmetrics would import at its own import.
LARGE = {"torchvision", "scipy", "matplotlib.pyplot"}


def test_a_run_in_an_environment_of_other_programs(tiny: list[str], tmp_path: Path) -> None:
    place = tmp_path / "où"
    place.mkdir()
    environment = {**os.environ, "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    # Of a launcher that has not started this process as a rank.
    environment |= {"RANK": "3", "SLURM_PROCID": "3", "WORLD_SIZE": "4"}
    done, modules = program(place, environment, "train", *tiny, "tags=['naïve']", "name='naïve'")
    assert done.returncode == 0, done.stderr
    (directory,) = run_directories(place)
    assert read_json(directory / "result.json")["tags"] == ["naïve"]
    assert read_json(directory / "status.json")["status"] == "done"
    assert {"metrics.csv", "train.log"} <= {path.name for path in directory.iterdir()}
    assert yaml.safe_load((directory / "config.yaml").read_text(encoding="utf-8"))["tags"] == ["naïve"]
    assert {"torch", "torchmetrics.metric", "lightning", "matplotlib"} <= modules
    assert not LARGE & modules
    scored, modules = program(place, environment, "evaluate", f"run='{directory}'")
    assert scored.returncode == 0, scored.stderr
    assert not LARGE & modules


def program(
    place: Path, environment: dict[str, str], name: str, *arguments: str
) -> tuple["subprocess.CompletedProcess[bytes]", set[str]]:
    """Run a program, and return also the names of the modules that it has imported."""
    command = [sys.executable, "-X", "importtime", "-m", f"rnnexp.{name}", *arguments]
    done = subprocess.run(
        command, cwd=place, env=environment, stdin=subprocess.DEVNULL, capture_output=True, check=False
    )
    lines = done.stderr.decode(errors="replace").splitlines()
    return done, {line.rpartition("|")[2].strip() for line in lines if line.startswith("import time:")}


@pytest.mark.slow
def test_translation_does_not_import_large_packages(translate_tiny: Callable[[str], list[str]], tmp_path: Path) -> None:
    small = ["task=translation", *translate_tiny("Phrasebook"), "data.cache=null", "trainer.max_steps=1"]
    for name in ("train", "translate"):
        arguments = [*small, "test_weights=none"] if name == "train" else [f"run='{run_directories(tmp_path)[0]}'"]
        done, modules = program(tmp_path, dict(os.environ), name, *arguments)
        assert done.returncode == 0, done.stderr
        assert "torchmetrics.metric" in modules
        assert not LARGE & modules


@pytest.mark.slow
def test_a_benchmark_does_not_import_torchvision_before_it_measures() -> None:
    code = (
        "import sys; from rnnexp.compat.torchmetrics import hide_large_packages; hide_large_packages(); "
        "import rnnexp.benchmark.workbench; print('torchmetrics' in sys.modules, 'torchvision' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "True False\n"
