"""A password and an escape sequence on the command line reach no record, no message and no terminal."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from support.programs import Run

PASSWORD, ESCAPE, KEY = "correct-horse", "\x1b]0;title\x07\x9b31m\u202e", "0123456789abcdef0123"


def everything_written(place: Path) -> bytes:
    files = [path for path in place.rglob("*") if path.is_file()]
    records = {"config.yaml", "overrides.yaml", "status.json", "result.json", "train.log"}
    assert {path.name for path in files} >= records, "the files of the run are among those searched"
    return b"".join(path.read_bytes() + str(path).encode() for path in files)


def test_a_password_is_recorded_nowhere(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    mirrors = f"data.mirrors=[http://user:{PASSWORD}@host/x]"
    monkeypatch.setenv("WANDB_MODE", "offline")
    outcome = run(mirrors, "tags=['${oc.env:WANDB_API_KEY}']", "logger=[csv,tensorboard,wandb]", "trainer.max_steps=1")
    assert outcome.exit_code == 0, outcome.stderr
    written = everything_written(outcome.directory) + (outcome.stdout + outcome.stderr).encode()
    assert PASSWORD.encode() not in written
    assert KEY.encode() not in written
    assert b"http://user:***@host/x" in written


def test_a_password_in_an_error_is_not_shown(run: Run, tmp_path: Path) -> None:
    outcome = run(f"data.mirrors=[http://user:{PASSWORD}@127.0.0.1:9/x]", "data.root=/nowhere", "data.nmae=x")
    assert outcome.exit_code == 2
    assert PASSWORD not in outcome.stdout + outcome.stderr
    fetching = [f"data.root={tmp_path}/empty", "data.name=FashionMNIST", "data.download_from=[mirrors]"]
    outcome = run(f"data.mirrors=[http://user:{PASSWORD}@127.0.0.1:9/x]", *fetching)
    assert outcome.exit_code == 2
    assert PASSWORD not in outcome.stdout + outcome.stderr
    assert PASSWORD.encode() not in everything_written(tmp_path)


def test_a_name_controls_no_terminal(run: Run) -> None:
    outcome = run(f'name="{ESCAPE}[/red] x"', f"tags=['{ESCAPE}']", "trainer.max_steps=1")
    assert outcome.exit_code == 0, outcome.stderr
    written = outcome.stdout + outcome.stderr + (outcome.directory / "train.log").read_text(encoding="utf-8")
    written += (outcome.directory / "result.json").read_text(encoding="utf-8")
    for character in "\x1b\x07\x9b\u202e":
        assert character not in written


def test_an_error_controls_no_terminal(run: Run) -> None:
    outcome = run(f"model={ESCAPE}")
    assert outcome.exit_code == 2
    assert not set("\x1b\x07\x9b\u202e") & set(outcome.stderr)


@pytest.mark.slow
def test_a_sweep_records_no_password(tiny: Sequence[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    token = "it's-a-secret-0123456789"
    monkeypatch.setenv("MY_API_TOKEN", token)
    command = [sys.executable, "-m", "rnnexp.train", "-m", *tiny, "trainer.max_steps=1", f"sweep_dir={tmp_path}/s"]
    command.append(f'tags=["{token}"]')
    mirrors = f"data.mirrors=[http://user:{PASSWORD}@host/x],[http://user:{PASSWORD}@host/y]"
    done = subprocess.run([*command, mirrors, f'name="{ESCAPE}"'], capture_output=True, encoding="utf-8", check=False)
    assert done.returncode == 0, done.stderr
    assert PASSWORD.encode() not in everything_written(tmp_path) + (done.stdout + done.stderr).encode()
    assert b"0123456789" not in (tmp_path / "s/sweep.json").read_bytes()
    assert not set("\x1b\x07\x9b\u202e") & set(done.stdout + done.stderr)
