"""A job is stopped, its sweep is killed, and another command ends the job: the first process changes nothing."""

import contextlib
import os
import signal
from pathlib import Path

import pytest

from rnnexp.core.files.directory_lock import observe_lock
from support.crash_points import outcome
from support.sweeps import BARE, FAULT, kinds_of, start, statuses, wait_for


@pytest.mark.slow
@pytest.mark.parametrize("is_stopped", [True, False])
def test_a_job_of_a_killed_sweep(tiny: list[str], tmp_path: Path, is_stopped: bool) -> None:
    """A stopped one is killed by the next command; one that runs has time to save, and the next command waits."""
    sweep = tmp_path / "sweep"
    asked = ["seed=1,2", f"sweep_dir={sweep}", *BARE, "trainer.max_steps=4", "hydra.launcher.jobs=1"]
    first = start(tiny, *asked, FAULT % "1:hang")
    wait_for(lambda: list(sweep.glob("jobs/*/metrics.csv")), 180)
    (job,) = sweep.glob("jobs/seed-1_*")
    holder = observe_lock(job).holder
    assert holder is not None
    if is_stopped:
        os.kill(holder.process_id, signal.SIGSTOP)
    first.kill()
    first.wait(60)
    second = start(tiny, *asked)
    stdout, stderr = second.communicate(timeout=300)
    # Not before: the stopped job has inherited its pipes.
    first.communicate(timeout=60)
    assert second.returncode == 0, stdout + stderr
    assert f"waiting for process {holder.process_id} on " in stdout
    assert statuses(sweep) == {1: "done", 2: "done"}
    before = outcome(job), sorted(path.name for path in job.rglob("*"))
    with contextlib.suppress(ProcessLookupError):
        os.kill(holder.process_id, signal.SIGCONT)
    assert holder.is_gone
    assert (outcome(job), sorted(path.name for path in job.rglob("*"))) == before


@pytest.mark.slow
def test_jobs_go_on_without_the_server_they_were_forked_from(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another server starts the next job."""
    sweep = tmp_path / "sweep"
    # The path of the server's socket has at most about 100 bytes.
    long = tmp_path / ("long" * 25)
    long.mkdir()
    monkeypatch.setenv("TMPDIR", str(long))
    asked = ["seed=1,2", f"sweep_dir={sweep}", *BARE, "trainer.max_epochs=40", "hydra.launcher.jobs=1"]
    parent = start(tiny, *asked)
    wait_for(lambda: list(sweep.glob("jobs/*/metrics.csv")), 180)
    (server,) = (number for number, kind in kinds_of(parent.pid).items() if kind == "fork server")
    os.kill(server, signal.SIGKILL)
    stdout, stderr = parent.communicate(timeout=300)
    assert parent.returncode == 0, stdout + stderr
    assert statuses(sweep) == {1: "done", 2: "done"}
