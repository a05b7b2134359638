"""The loop that all backends share, tested with fake jobs that have a list of states."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import write_json
from rnnexp.sweeps.backends import base
from rnnexp.sweeps.backends.base import LOST, Backend, Ended, JobState, SubmittedJob
from rnnexp.sweeps.devices import ResourceRequest
from rnnexp.sweeps.jobs import Job, finalize, prepare
from rnnexp.sweeps.progress import SweepProgress
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.status import Status

CODE = {"commit": None, "dirty": None}
CONFIG = {
    "name": "fake",
    "monitor": "val/acc",
    "model": {"num_layers": 1, "bidirectional": False, "hidden_size": 8},
    "trainer": {"max_epochs": 1, "limit_train_batches": 1.0},
}


@dataclass
class FakeJob(SubmittedJob):
    """A job with a list of states, one per wait of the backend; the last one stays."""

    states: list[JobState]

    def poll(self) -> JobState:
        return self.states[0]

    def advance(self) -> None:
        if len(self.states) > 1:
            self.states.pop(0)


class FakeBackend(Backend[FakeJob]):
    """A backend of fake jobs.

    Args:
        plans: the states of each job, by its label.
        at_once: number of jobs that run at the same time.
    """

    num_gpus = 0

    def __init__(self, plans: dict[str, list[JobState]], at_once: int = 10, **settings: Any) -> None:
        super().__init__({"on_error": "continue", "max_failures": None, "retries": 0, **settings})
        self.plans, self.at_once = plans, at_once
        self.handed_over: list[str] = []
        self.stops: list[str] = []
        self.num_enforced = 0
        self.released: list[str] = []
        self.interrupt_at: str | None = None

    def submit(self, jobs: Sequence[Job], progress: SweepProgress) -> None:  # noqa: ARG002
        for job in jobs[: self.at_once - len(self.submitted)]:
            self.handed_over.append(job.label)
            self.submitted.append(FakeJob(job, "nowhere", self.plans[job.label]))

    def wait(self) -> None:
        for entry in self.submitted:
            if entry.job.label == self.interrupt_at and entry.stop is None:
                raise KeyboardInterrupt
            entry.advance()

    def request_stop(self, entries: Sequence[FakeJob]) -> None:
        for entry in entries:
            self.stops.append(entry.job.label)
            entry.states[:] = [Ended("asked to stop")]

    def enforce_stop(self, entries: Sequence[FakeJob]) -> None:
        self.num_enforced += len(entries)

    def release(self, entry: FakeJob) -> None:
        self.released.append(entry.job.label)


@pytest.fixture
def make_jobs(tmp_path: Path) -> Any:
    def make(*labels: str) -> list[Job]:
        jobs = [Job(label, [], CONFIG, RunDirectory(tmp_path / label), ResourceRequest()) for label in labels]
        for job in jobs:
            prepare(job, CODE)
        return jobs

    return make


class Progress(SweepProgress):
    """Progress that records its events."""

    def __init__(self, jobs: Sequence[Job]) -> None:
        super().__init__(jobs)
        self.events: list[tuple[str, ...]] = []

    def started(self, job: Job, place: Any) -> None:
        self.events.append(("started", job.label))
        super().started(job, place)

    def ended(self, job: Job, reason: str) -> None:
        self.events.append(("ended", job.label, job.status, reason))
        super().ended(job, reason)


def test_a_job_that_recorded_its_end_keeps_it(make_jobs: Any) -> None:
    (job,) = make_jobs("a")
    backend, progress = FakeBackend({"a": [Status.QUEUED, Status.RUNNING, Ended("exit code 1")]}), Progress([job])
    job.run.end(Status.DIVERGED, "the loss is NaN")
    backend.run([job], progress)
    assert progress.events == [("started", "a"), ("ended", "a", "diverged", "the loss is NaN")]
    assert backend.released == ["a"]
    assert not backend.submitted
    assert backend.num_failed == 0


def test_a_job_without_a_recorded_end_has_failed_with_the_reason_of_the_backend(make_jobs: Any) -> None:
    (job,) = make_jobs("a")
    backend = FakeBackend({"a": [Ended.with_code(-9)]})
    backend.run([job], Progress([job]))
    assert (job.status, backend.num_failed) == (Status.FAILED, 1)
    assert job.run.read_status()["reason"] == "killed by SIGKILL (possibly out of memory)"
    assert job.run.status is Status.FAILED


def test_a_backend_may_report_a_job_without_a_recorded_end_as_interrupted(make_jobs: Any) -> None:
    (job,) = make_jobs("a")
    FakeBackend({"a": [Ended("preempted", Status.INTERRUPTED)]}).run([job], Progress([job]))
    assert job.run.status is Status.INTERRUPTED


def test_jobs_wait_until_the_backend_has_room(make_jobs: Any) -> None:
    jobs = make_jobs("a", "b", "c")
    plans: dict[str, list[JobState]] = {label: [Status.RUNNING, Ended("")] for label in "abc"}
    backend = FakeBackend(plans, at_once=1)
    progress = Progress(jobs)
    backend.run(jobs, progress)
    assert [event[:2] for event in progress.events] == [
        (what, label) for label in "abc" for what in ("started", "ended")
    ]


@pytest.mark.parametrize(
    ("end", "attempts"),
    [
        (lambda _: None, 3),
        (lambda run: run.end(Status.INTERRUPTED, "SIGTERM", True), 3),
        (lambda run: run.end(Status.FAILED, "Input/output error", True), 3),
        (lambda run: run.end(Status.FAILED, "division by zero"), 1),
        (lambda run: run.end(Status.DIVERGED, "NaN"), 1),
        (lambda run: run.end(Status.UNSUPPORTED, "no"), 1),
        (lambda run: run.end(Status.DONE), 1),
    ],
)
def test_a_job_with_a_cause_that_may_be_transient_starts_again(make_jobs: Any, end: Any, attempts: int) -> None:
    (job,) = make_jobs("a")
    backend, progress = FakeBackend({"a": [Ended("killed")]}, retries=2), Progress([job])
    submit = backend.submit

    def submit_and_end(jobs: Sequence[Job], progress: SweepProgress) -> None:
        submit(jobs, progress)
        end(job.run)

    backend.submit = submit_and_end  # type: ignore[method-assign]
    backend.run([job], progress)
    assert backend.handed_over == ["a"] * attempts
    assert job.run.read_status()["attempts"] == attempts
    assert backend.num_failed == (job.status is Status.FAILED), "only the last attempt counts"


def test_a_job_whose_process_outlives_it_starts_again_after_that_process(make_jobs: Any) -> None:
    """A node is lost: what the job has recorded at its end counts."""
    (job,) = make_jobs("a")
    lines = ["import sys, time", "from pathlib import Path", "from rnnexp.tracking.run_directory import RunDirectory"]
    lines += ["run = RunDirectory(Path(sys.argv[1]))", "with run.locked():", "    print('locked', flush=True)"]
    lines += ["    time.sleep(1)", "    run.end('interrupted', 'SIGTERM', True)"]
    backend = FakeBackend({"a": [Ended("node lost", is_transient=False)]}, retries=1)
    command = [sys.executable, "-c", "\n".join(lines), str(job.run.path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        backend.run([job], Progress([job]))
    assert backend.handed_over == ["a", "a"]
    assert job.run.read_status()["attempts"] == 2


def test_a_mistake_found_before_the_run_began_is_not_tried_again(make_jobs: Any) -> None:
    (job,) = make_jobs("a")
    backend = FakeBackend({"a": [Ended.with_code(UserError.exit_code)]}, retries=2)
    backend.run([job], Progress([job]))
    assert (backend.handed_over, job.status) == (["a"], Status.FAILED)


def test_a_hung_job_starts_again(make_jobs: Any) -> None:
    (job,) = make_jobs("a")
    backend = FakeBackend({"a": [Status.RUNNING]}, job_timeout=1e-9, retries=1)
    backend.run([job], Progress([job]))
    assert backend.handed_over == ["a", "a"]
    assert job.status is Status.FAILED


def test_a_cancelled_job_does_not_start_again(make_jobs: Any) -> None:
    (job,) = make_jobs("a")
    backend = FakeBackend({"a": [Status.RUNNING]}, retries=1)
    backend.interrupt_at = "a"
    with pytest.raises(KeyboardInterrupt):
        backend.run([job], Progress([job]))
    assert backend.handed_over == ["a"]


def test_a_job_whose_directory_cannot_be_read_does_not_start_again(make_jobs: Any) -> None:
    jobs = make_jobs("a", "b")
    backend = FakeBackend({"a": [Ended("killed")], "b": [Status.RUNNING, Ended("killed")]}, retries=1)
    shutil.rmtree(jobs[0].run.path)
    jobs[0].run.path.symlink_to("nowhere")
    backend.run(jobs, Progress(jobs))
    assert backend.handed_over == ["a", "b", "b"]
    assert jobs[0].status is Status.FAILED


@pytest.mark.parametrize("retries", [-1, 1.5, True, None, "many"])
def test_the_number_of_retries_is_a_whole_number(retries: Any) -> None:
    with pytest.raises(UserError, match=r"hydra\.launcher\.retries"):
        FakeBackend({}, retries=retries)


@pytest.mark.parametrize("settings", [{"on_error": "stop"}, {"max_failures": 1}])
def test_enough_failures_stop_the_others(make_jobs: Any, settings: dict[str, Any]) -> None:
    jobs = make_jobs("bad", "long", "never")
    backend = FakeBackend({"bad": [Ended("crashed")], "long": [Status.RUNNING]}, at_once=2, **settings)
    backend.run(jobs, Progress(jobs))
    assert [job.status for job in jobs] == [Status.FAILED, Status.INTERRUPTED, Status.WAITING]
    assert backend.stops == ["long"]
    assert jobs[1].run.read_status()["reason"] == "stopped after failures of other jobs"
    assert backend.handed_over == ["bad", "long"]


def test_a_hung_job_is_stopped_once_and_has_failed(make_jobs: Any) -> None:
    (job,) = make_jobs("a")
    backend = FakeBackend({"a": [Status.RUNNING]}, job_timeout=1e-9)
    backend.run([job], Progress([job]))
    assert backend.stops == ["a"]
    assert job.status is Status.FAILED
    assert "job_timeout=1e-09" in job.run.read_status()["reason"]


def test_a_queued_job_does_not_hang(make_jobs: Any) -> None:
    (job,) = make_jobs("a")
    backend = FakeBackend({"a": [*[Status.QUEUED] * 5, Ended("")]}, job_timeout=1e-9)
    backend.run([job], Progress([job]))
    assert backend.stops == []


def test_an_interrupt_stops_all_jobs_and_is_raised(make_jobs: Any) -> None:
    jobs = make_jobs("a", "b", "c")
    backend = FakeBackend({"a": [Status.RUNNING], "b": [Status.RUNNING]}, at_once=2)
    backend.interrupt_at = "b"
    with pytest.raises(KeyboardInterrupt):
        backend.run(jobs, Progress(jobs))
    assert [job.status for job in jobs] == [Status.INTERRUPTED, Status.INTERRUPTED, Status.WAITING]
    assert sorted(backend.stops) == ["a", "b"]
    assert {job.run.read_status()["reason"] for job in jobs[:2]} == {"cancelled with the sweep"}


def test_a_job_that_does_not_stop_is_killed(make_jobs: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(base, "SECONDS_TO_STOP", 0.05)
    (job,) = make_jobs("a")
    backend = FakeBackend({"a": [Status.RUNNING]})
    monkeypatch.setattr(backend, "request_stop", lambda _: None)
    backend.interrupt_at = "a"
    with pytest.raises(KeyboardInterrupt):
        backend.run([job], Progress([job]))
    assert job.run.status is Status.INTERRUPTED
    assert job.run.read_status()["reason"].endswith(LOST.reason)
    assert backend.num_enforced > 0
    assert backend.released == ["a"]


def test_the_status_is_recorded_before_the_release_that_may_fail(
    make_jobs: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs = make_jobs("a", "b")
    backend = FakeBackend({"a": [Status.RUNNING], "b": [Status.RUNNING]})

    def release(entry: FakeJob) -> None:
        raise OSError(entry.job.label)

    monkeypatch.setattr(backend, "release", release)
    backend.interrupt_at = "a"
    with pytest.raises(OSError, match="a"):
        backend.run(jobs, Progress(jobs))
    assert jobs[0].run.status is Status.INTERRUPTED


def test_polling_changes_nothing(make_jobs: Any) -> None:
    (job,) = make_jobs("a")
    entry = FakeJob(job, "nowhere", [Status.RUNNING, Ended("")])
    assert [entry.poll() for _ in range(3)] == [Status.RUNNING] * 3
    assert (entry.started_at, entry.stop, entry.is_overdue) == (None, None, False)
    assert entry.recorded_state is Status.QUEUED
    job.run.set_status(Status.DONE)
    assert entry.recorded_state is Status.RUNNING, "its process may still end"


def test_only_a_final_or_absent_job_may_have_a_record_of_slurm(make_jobs: Any) -> None:
    done, left = make_jobs("done", "left")
    for job in (done, left):
        write_json(job.run.slurm_file, {"submission": "a" * 32, "job_id": "7"})
    done.status = Status.DONE
    backend = FakeBackend({})
    backend.reattach([done])
    with pytest.raises(UserError, match="left: SLURM may still run it"):
        backend.reattach([done, left])


def test_a_stop_reason_replaces_that_of_the_signal(make_jobs: Any) -> None:
    (job,) = make_jobs("a")
    job.run.end(Status.INTERRUPTED, "interrupted by SIGTERM in epoch 3")
    assert finalize(job, "ended", Status.FAILED, "ran too long") == "ran too long"
    assert job.run.status is Status.FAILED
    job.run.end(Status.DONE)
    assert finalize(job, "ended", Status.FAILED, "ran too long") == ""
    assert job.run.status is Status.DONE, "it was done before it was stopped"


@pytest.mark.parametrize(
    ("code", "words"),
    [(-9, "SIGKILL"), (-11, "SIGSEGV"), (-40, "signal 40"), (3, "exit code 3 and recorded no status")],
)
def test_the_reason_names_the_signal_or_the_code(code: int, words: str) -> None:
    assert words in Ended.with_code(code).reason
