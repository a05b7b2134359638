"""Output never decides what is recorded: runs whose output goes away."""

import subprocess
import sys
from pathlib import Path

import pytest

from rnnexp.core.files.atomic import read_json


@pytest.mark.slow
@pytest.mark.parametrize("redirection", ["| head -1", "> /dev/full 2>&1", ">&- 2>&-"])
def test_a_run_is_done_without_its_output(redirection: str, tiny: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rnnexp.train", *tiny, "logger=csv", f"paths.output_dir={tmp_path}/run"]
    shell = ["bash", "-o", "pipefail", "-c", f'"$@" {redirection}', "bash", *command]
    done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (read_json(tmp_path / "run" / "status.json")["status"], (tmp_path / "run" / "result.json").is_file()) == (
        "done",
        True,
    )


@pytest.mark.slow
def test_a_sweep_is_done_without_its_output(tiny: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rnnexp.train", "-m", *tiny, "logger=csv", "seed=1,2", f"sweep_dir={tmp_path}/s"]
    shell = ["bash", "-o", "pipefail", "-c", '"$@" | head -1', "bash", *command]
    done = subprocess.run(shell, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300)
    assert done.returncode == 0, done.stderr
    records = [read_json(file)["status"] for file in (tmp_path / "s" / "jobs").glob("*/status.json")]
    assert records == ["done", "done"]
    assert (tmp_path / "s" / "report" / "report.html").is_file()
