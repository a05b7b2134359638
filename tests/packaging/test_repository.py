"""Checks of the whole repository: configs that hide each other, and names of machines."""

import re
import subprocess
from collections import Counter

import pytest

from rnnexp.cli.conf_dir import config_root
from support import ROOT

CONFIGS = sorted(path for path in config_root().rglob("*.yaml"))
SWEEPS = sorted(path for path in (ROOT / "sweeps").rglob("*.yaml"))


def test_config_files_have_one_suffix() -> None:
    assert len(CONFIGS) >= 20
    strays = [path for top in (config_root(), ROOT / "sweeps") for path in top.rglob("*") if path.suffix == ".yml"]
    assert strays == []


def test_no_sweep_hides_a_config() -> None:
    # --config-dir sweeps comes before conf: Hydra loads the sweep silently if a config has the same name.
    stems = Counter(path.stem for path in SWEEPS)
    assert [stem for stem, count in stems.items() if count > 1] == []
    assert set(stems) & {path.stem for path in CONFIGS} == set()


def test_no_config_hides_a_group() -> None:
    groups = {path.name for path in config_root().iterdir() if path.is_dir()}
    assert len(groups) >= 10
    assert groups & {path.stem for path in [*config_root().glob("*.yaml"), *SWEEPS]} == set()


def test_tracked_files_name_no_machine() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode != 0:
        pytest.skip("not a git checkout, so no files are tracked")
    files = [ROOT / name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    assert len(files) >= 50
    place = re.compile(rb"(?<![\w.])/(home|Users|root|work|scratch)/\w")
    assert [str(path) for path in files if place.search(path.read_bytes())] == []
