"""The directory of a sweep: what a kill or a power cut leaves in it blocks nothing."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import write_json
from rnnexp.tracking.sweep_directory import SweepDirectory


@pytest.mark.parametrize("content", ["", "{", '{"name": "tr', "[]", "\0" * 50])
def test_a_damaged_record_is_put_aside(tmp_path: Path, content: str, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "sweep.json").write_text(content, encoding="utf-8")
    (tmp_path / ".sweep.json.0123456789ab").write_text("", encoding="utf-8")
    SweepDirectory.open(tmp_path, "train").close()
    (line,) = capsys.readouterr().out.splitlines()
    assert str(tmp_path / "sweep.json") in line
    assert (tmp_path / "sweep.json.damaged").read_text(encoding="utf-8") == content
    assert not (tmp_path / ".sweep.json.0123456789ab").exists()


def test_a_record_of_another_sweep_is_refused(tmp_path: Path) -> None:
    write_json(tmp_path / "sweep.json", {"name": "cells"})
    with pytest.raises(UserError, match="holds the sweep 'cells', not 'train'"):
        SweepDirectory.open(tmp_path, "train")


WITHOUT_LOCKS = """
import errno, fcntl, sys, time
from pathlib import Path
from rnnexp.core.errors import UserError
from rnnexp.tracking.sweep_directory import SweepDirectory

def refuse(*_):
    raise OSError(errno.ENOLCK, "No locks available")

fcntl.flock = refuse
try:
    sweep = SweepDirectory.open(Path(sys.argv[1]), "train")
except UserError as error:
    sys.exit(str(error))
print("open", flush=True)
sys.stdin.read()
"""


def test_one_sweep_at_a_time_on_a_file_system_without_locks(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WITHOUT_LOCKS, str(tmp_path)]
    with subprocess.Popen(command, stdin=-1, stdout=-1, stderr=-1, text=True) as first:
        assert first.stdout is not None
        assert first.stdout.readline() == "open\n"
        second = subprocess.run(command, input="", capture_output=True, text=True, check=False)
        assert second.returncode == 1
        assert f"process {first.pid}" in second.stderr.splitlines()[-1]
        _, said = first.communicate("")
    (line,) = said.splitlines()
    assert "this file system has no locks" in line
    assert subprocess.run(command, input="", capture_output=True, check=False).returncode == 0, "the first has ended"


@pytest.mark.parametrize("names", [[".sweep.json.0123456789ab"], ["jobs"], ["study"], ["sweep.json.damaged", "report"]])
def test_a_sweep_that_was_killed_before_its_record_continues(tmp_path: Path, names: list[str]) -> None:
    for name in names:
        (tmp_path / name).touch()
    SweepDirectory.open(tmp_path, "train").close()


def test_a_directory_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").touch()
    with pytest.raises(UserError, match="is not a sweep directory"):
        SweepDirectory.open(tmp_path, "train")


@pytest.mark.parametrize("content", ["{", "[]", '{"status": "queued"}', None])
def test_a_job_without_a_known_code_is_no_other_code(tmp_path: Path, content: str | None) -> None:
    sweep = SweepDirectory(tmp_path)
    status = tmp_path / "jobs" / "one" / "status.json"
    status.parent.mkdir(parents=True)
    if content is None:
        status.mkdir()
    else:
        status.write_text(content, encoding="utf-8")
    sweep.require_code({"commit": "a", "dirty": False})


@pytest.mark.parametrize("code", [5, "text", ["a"], {"commit": 5}, {"commit": "abc"}, {"commit": None}])
def test_a_code_of_another_kind_is_other_code(tmp_path: Path, code: object) -> None:
    (tmp_path / "jobs" / "one").mkdir(parents=True)
    (tmp_path / "jobs" / "one" / "status.json").write_text(json.dumps({"code": code}), encoding="utf-8")
    with pytest.raises(UserError, match="ran on other code"):
        SweepDirectory(tmp_path).require_code({"commit": "a", "dirty": False})
