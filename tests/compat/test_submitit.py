"""Canaries for the undocumented behavior of submitit that rnnexp.compat.submitit uses."""

from pathlib import Path

import pytest
import submitit

from rnnexp.compat import submitit as compat
from rnnexp.sweeps.backends.slurm import SHARED_PARAMETERS

MOVED = "submitit has changed this: see compat/submitit.py"


def test_submitit_treats_an_unknown_state_as_the_end(slurm: Path, tmp_path: Path) -> None:
    """The module is needed only as long as this holds."""
    (slurm / "8000.state").write_text("SUSPENDED", encoding="utf-8")
    accounting = "#!/bin/sh\nprintf 'JobID|State|NodeList\\n8000|SUSPENDED|here\\n'\n"
    (slurm / "sacct").write_text(accounting, encoding="utf-8")
    theirs, ours = submitit.SlurmJob[int](tmp_path, "8000"), compat.SlurmJob(tmp_path, "8000")
    assert theirs.done(force_check=True), MOVED
    assert not ours.done(force_check=True)


def test_handles_ask_the_watcher_of_their_class(tmp_path: Path) -> None:
    assert isinstance(submitit.SlurmJob.watcher, compat.SlurmInfoWatcher), MOVED
    assert compat.SlurmJob(tmp_path, "8001").watcher is compat.SlurmJob.watcher, MOVED
    assert isinstance(compat.SlurmJob.watcher, compat.SlurmWatcher)


def test_one_query_returns_the_states_of_all_jobs(slurm: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(compat.time, "monotonic", lambda: 100.0)
    watcher = compat.SlurmWatcher()
    for job, state in {"8002_0": "RUNNING", "8002_1": "FAILED", "8003": "PENDING"}.items():
        watcher.register_job(job)
        (slurm / f"{job}.state").write_text(state, encoding="utf-8")
    watcher.update()
    assert watcher.updated_at == 100.0
    assert [watcher.get_state(job, mode="cache") for job in ("8002_0", "8002_1", "8003")] == (
        ["RUNNING", "FAILED", "PENDING"]
    ), MOVED
    assert [watcher.is_done(job, mode="cache") for job in ("8002_0", "8002_1", "8003")] == [False, True, False]
    (slurm / "8002_1.state").unlink()
    watcher.update()
    assert watcher.get_state("8002_1", mode="cache") == "FAILED", "a job that has ended is not asked for again"


def test_every_cluster_has_the_shared_parameters() -> None:
    assert set(SHARED_PARAMETERS) == set(submitit.AutoExecutor._typed_parameters()), MOVED


def test_errors_are_not_public() -> None:
    """Without this the names of errors are not needed here."""
    names = ("FailedJobError", "FailedSubmissionError", "UncompletedJobError")
    assert not any(hasattr(submitit, name) for name in names), MOVED
    assert all(issubclass(getattr(compat, name), RuntimeError) for name in names), MOVED
