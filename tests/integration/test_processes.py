"""Behavior that needs a separate process: its locale and its imports."""

import json
import os
import subprocess
import sys
from pathlib import Path

import yaml

from rnnexp.core.atomic_files import read_json
from support.programs import run_directories

IMPORTS = """
import json, sys
from pathlib import Path
from rnnexp import train
try:
    train.main()
finally:
    Path("modules.json").write_text(json.dumps(sorted(sys.modules)), encoding="utf-8")
"""


def test_a_run_under_a_locale_without_unicode(tiny: list[str], tmp_path: Path) -> None:
    place = tmp_path / "où"
    place.mkdir()
    environment = {**os.environ, "LANG": "C", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    command = [sys.executable, "-m", "rnnexp.train", *tiny, "tags=['naïve']", "name='naïve'"]
    done = subprocess.run(command, cwd=place, env=environment, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    (directory,) = run_directories(place)
    assert read_json(directory / "result.json")["tags"] == ["naïve"]
    assert yaml.safe_load((directory / "config.yaml").read_text(encoding="utf-8"))["tags"] == ["naïve"]
    scored = subprocess.run(
        [sys.executable, "-m", "rnnexp.evaluate", f"run='{directory}'"],
        cwd=place,
        env=environment,
        capture_output=True,
        check=False,
    )
    assert scored.returncode == 0, scored.stderr


def test_a_training_run_does_not_import_torchvision(tiny: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IMPORTS, *tiny], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    modules = json.loads((tmp_path / "modules.json").read_text(encoding="utf-8"))
    assert {"torch", "torchmetrics", "lightning", "matplotlib"} <= set(modules)
    assert not [name for name in modules if name.partition(".")[0] == "torchvision"]
