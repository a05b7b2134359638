"""Canaries for the undocumented behavior of submitit that rnnexp.compat.submitit uses."""

import os
from pathlib import Path

import pytest
import submitit

from rnnexp.compat import submitit as compat
from rnnexp.sweeps.backends.slurm import SHARED_PARAMETERS
from support import small_slurm

MOVED = "submitit has changed this: see compat/submitit.py"


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small_slurm.install(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{tmp_path}/slurm{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "slurm"


def test_submitit_treats_an_unknown_state_as_the_end(slurm: Path, tmp_path: Path) -> None:
    """The module is needed only as long as this holds."""
    (slurm / "8000.state").write_text("SUSPENDED", encoding="utf-8")
    theirs, ours = submitit.SlurmJob[int](tmp_path, "8000"), compat.SlurmJob(tmp_path, "8000")
    assert theirs.done(force_check=True), MOVED
    assert not ours.done(force_check=True)


def test_handles_ask_the_watcher_of_their_class(tmp_path: Path) -> None:
    assert isinstance(submitit.SlurmJob.watcher, compat.SlurmInfoWatcher), MOVED
    assert compat.SlurmJob(tmp_path, "8001").watcher is compat.SlurmJob.watcher, MOVED
    assert isinstance(compat.SlurmJob.watcher, compat.SlurmWatcher)


def test_the_time_in_a_state_begins_when_it_is_first_seen(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now = 100.0
    monkeypatch.setattr(compat.time, "monotonic", lambda: now)
    watcher = compat.SlurmWatcher()
    watcher.register_job("8002")
    file = slurm / "8002.state"
    file.write_text("RUNNING", encoding="utf-8")
    assert watcher.seconds_in_state("8002") == 0
    watcher.update()
    now = 130.0
    watcher.update()
    assert watcher.updated_at == now, MOVED
    assert watcher.seconds_in_state("8002") == 30.0, MOVED
    file.write_text("CANCELLED by 0", encoding="utf-8")
    watcher.update()
    now = 135.0
    assert watcher.seconds_in_state("8002") == 5.0
    assert watcher.is_done("8002", mode="cache")


def test_every_cluster_has_the_shared_parameters() -> None:
    assert set(SHARED_PARAMETERS) == set(submitit.AutoExecutor._typed_parameters()), MOVED
