"""The lines of a sweep's progress."""

import tracemalloc
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from rnnexp.sweeps import progress as sweep_progress
from rnnexp.sweeps.devices import Allocation, ResourceRequest
from rnnexp.sweeps.jobs import Job
from rnnexp.sweeps.progress import MAX_BYTES, NUM_LAST_LINES, SweepProgress, last_lines
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.status import Status

CONFIG: dict[str, Any] = {
    "name": "small",
    "monitor": "val/acc",
    "model": {"num_layers": 1, "bidirectional": False, "hidden_size": 8},
    "trainer": {"max_epochs": 1},
}


@pytest.fixture
def jobs(tmp_path: Path) -> list[Job]:
    found = [Job(f"seed={seed}", [], CONFIG, RunDirectory(tmp_path / str(seed)), ResourceRequest()) for seed in (1, 2)]
    for job in found:
        job.run.path.mkdir()
        job.status = Status.WAITING
    return found


@pytest.fixture(autouse=True)
def still_clock(monkeypatch: pytest.MonkeyPatch) -> None:
    """The time passes only as the tests say, however busy the machine is."""
    monkeypatch.setattr(sweep_progress, "time", SimpleNamespace(monotonic=lambda: 1000.0))


def test_a_job_that_ends_shows_its_metric(jobs: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    progress = SweepProgress(jobs)
    progress.started(jobs[0], Allocation(cores=2))
    jobs[0].status = Status.DONE
    jobs[0].run.metrics_file.write_text("epoch,step,val/acc\n0,10,0.25\n1,20,0.75\n", encoding="utf-8")
    progress.ended(jobs[0], "")
    assert capsys.readouterr().out.splitlines() == [
        "start  seed=1 on 2 cores",
        "done   seed=1 after 0:00, val/acc 0.75",
    ]


def test_a_failure_shows_the_last_lines_of_its_output(jobs: list[Job], capsys: pytest.CaptureFixture[str]) -> None:
    progress = SweepProgress(jobs)
    progress.started(jobs[1], "slurm 1000")
    jobs[1].status = Status.FAILED
    jobs[1].run.output_file.write_bytes("".join(f"line {number}\n" for number in range(20)).encode() + b"\xff\n")
    progress.ended(jobs[1], "out of memory")
    _, ended, *last = capsys.readouterr().out.splitlines()
    assert ended == "failed seed=2 after 0:00: out of memory"
    assert len(last) == NUM_LAST_LINES
    assert last[0].endswith("| line 15")


def test_the_summary_counts_statuses_and_estimates_what_is_left(jobs: list[Job]) -> None:
    progress = SweepProgress(jobs)
    assert progress.summary() == "2 waiting; 0:00 so far", "nothing is known of the time"
    run_for(progress, jobs[0], 60, Status.DONE)
    assert progress.summary() == "1 done, 1 waiting; 1:00 so far, about 1:00 left"


def run_for(progress: SweepProgress, job: Job, seconds: float, status: Status) -> None:
    """Record that a job ended after some seconds, in which no other ran."""
    progress.started(job, "here")
    progress.running[job] = "here", progress.running[job][1] - seconds
    progress._start -= seconds
    job.status = status
    progress.ended(job, "")


def test_jobs_that_were_not_done_say_nothing_of_the_time_left(tmp_path: Path) -> None:
    jobs = [Job(str(number), [], CONFIG, RunDirectory(tmp_path), ResourceRequest()) for number in range(6)]
    for job in jobs:
        job.status = Status.WAITING
    progress = SweepProgress(jobs)
    for job, seconds, status in zip(jobs, (100, 3, 100), (Status.DIVERGED, Status.PRUNED, Status.DONE), strict=False):
        run_for(progress, job, seconds, status)
    assert progress.summary().endswith("3:23 so far, about 5:00 left")
    for job in jobs[3:5]:
        progress.started(job, "here")
        job.status = Status.RUNNING
    assert progress.summary().endswith(", about 2:30 left"), "two at once"


def test_only_the_end_of_a_long_output_is_read(tmp_path: Path) -> None:
    file = tmp_path / "output.log"
    with file.open("wb") as output:
        output.truncate(2**30)  # a sparse file
        output.seek(0, 2)
        output.write(b"x" * 10_000 + b"\nlast words\n")
    tracemalloc.start()
    lines = last_lines(file)
    assert tracemalloc.get_traced_memory()[1] < 2**20
    tracemalloc.stop()
    assert lines[-1] == "last words"
    assert len(lines[0]) <= MAX_BYTES
