"""Behavior that needs a separate process: its locale and its imports."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import yaml

from rnnexp.core.files.atomic import read_json
from support.programs import run_directories

IMPORTS = """
import json, sys
from pathlib import Path
import {program}
try:
    {program}.main()
finally:
    Path("modules.json").write_text(json.dumps(sorted(sys.modules)), encoding="utf-8")
"""


def test_a_run_in_an_environment_of_other_programs(tiny: list[str], tmp_path: Path) -> None:
    place = tmp_path / "où"
    place.mkdir()
    environment = {**os.environ, "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    # Of a launcher that has not started this process as a rank.
    environment |= {"RANK": "3", "SLURM_PROCID": "3", "WORLD_SIZE": "4"}
    command = [sys.executable, "-m", "rnnexp.train", *tiny, "tags=['naïve']", "name='naïve'"]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    (directory,) = run_directories(place)
    assert read_json(directory / "result.json")["tags"] == ["naïve"]
    assert read_json(directory / "status.json")["status"] == "done"
    assert {"metrics.csv", "train.log"} <= {path.name for path in directory.iterdir()}
    assert yaml.safe_load((directory / "config.yaml").read_text(encoding="utf-8"))["tags"] == ["naïve"]
    scored = subprocess.run(
        [sys.executable, "-m", "rnnexp.evaluate", f"run='{directory}'"],
        cwd=place,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert scored.returncode == 0, scored.stderr


def modules_of(program: str, place: Path, *arguments: str) -> set[str]:
    """Return the modules that a program has imported at its end."""
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS.format(program=program), *arguments],
        cwd=place,
        input="",
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    modules = set(json.loads((place / "modules.json").read_text(encoding="utf-8")))
    assert {"torch", "torchmetrics", "lightning"} <= modules
    return modules


def test_training_and_evaluation_do_not_import_torchvision(tiny: list[str], tmp_path: Path) -> None:
    trained = modules_of("rnnexp.train", tmp_path, *tiny)
    assert "matplotlib" in trained
    assert not torchvision_in(trained)
    (directory,) = run_directories(tmp_path)
    assert not torchvision_in(modules_of("rnnexp.evaluate", tmp_path, f"run='{directory}'"))


def test_translation_does_not_import_torchvision(translate_tiny: Callable[[str], list[str]], tmp_path: Path) -> None:
    small = ["task=translation", *translate_tiny("Phrasebook"), "data.cache=null", "trainer.max_steps=1"]
    modules_of("rnnexp.train", tmp_path, *small, "test_weights=none")
    (directory,) = run_directories(tmp_path)
    assert not torchvision_in(modules_of("rnnexp.translate.__main__", tmp_path, f"run='{directory}'"))


def test_a_benchmark_does_not_import_torchvision_before_it_measures() -> None:
    code = (
        "import sys; from rnnexp.compat.torchmetrics import hide_torchvision; hide_torchvision(); "
        "import rnnexp.benchmark.workbench; print('torchmetrics' in sys.modules, 'torchvision' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, encoding="utf-8", check=True)
    assert done.stdout == "True False\n"


def torchvision_in(modules: set[str]) -> bool:
    return any(name.partition(".")[0] == "torchvision" for name in modules)
