"""The base class of backends, which run the jobs of a sweep: submit them, poll them and record how each ended."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, Literal, TypeVar

from rich.console import Console

from rnnexp.core.errors import UserError
from rnnexp.core.files.directory_lock import STALE_SECONDS, observe_lock
from rnnexp.core.signals import GRACE_SECONDS, exit_reason
from rnnexp.core.validation import require_positive, validate_choice
from rnnexp.sweeps.backends.slurm_record import SlurmRecord
from rnnexp.sweeps.devices import Allocation
from rnnexp.sweeps.jobs import Job, finalize, prepare
from rnnexp.sweeps.progress import SweepProgress
from rnnexp.tracking.status import Status

# A job may take GRACE_SECONDS to save. The processes between the job and the sweep need more time to end.
SECONDS_TO_STOP = GRACE_SECONDS + 20
SECONDS_TO_SAVE = GRACE_SECONDS + STALE_SECONDS
"""How long a process may write to the directory of a job that has ended, as one whose node is lost or parent killed."""
ON_ERROR = ("continue", "stop")


@dataclass(frozen=True)
class Ended:
    """The state of a submitted job that has ended: no process of it runs or will run.

    Args:
        reason: the reason to record if the job recorded no end.
        status: the status to record if the job recorded no end.
        is_transient: whether the reason may have passed when the job starts again.
    """

    reason: str
    status: Status = Status.FAILED
    is_transient: bool = True

    @classmethod
    def with_code(cls, code: int) -> "Ended":
        """Return the state of a job whose process ended with an exit code."""
        # A job that was killed could not record its end.
        reason = exit_reason(code) + " and recorded no status" * (code >= 0)
        # A mistake that was found before the run began is found again.
        return cls(reason, is_transient=code != UserError.exit_code)


LOST = Ended("no exit status received")
"""The state of a job that did not end within `SECONDS_TO_STOP` after a request to stop."""
JobState = Literal[Status.QUEUED, Status.RUNNING] | Ended


@dataclass(frozen=True)
class StopRequest:
    """A request to a job to save its state and end.

    Args:
        requested_at: the time of the request in seconds, from `time.monotonic`.
        status: the status to record if the job recorded no end.
        reason: if not empty, the reason to record in place of the job's own.
    """

    requested_at: float
    status: Status
    reason: str = ""


@dataclass
class SubmittedJob(ABC):
    """A job that was submitted to a backend.

    Args:
        job: the job.
        place: the devices or the cluster job on which it runs, as shown in messages.
        started_at: the time at which a poll first found it running in seconds, from `time.monotonic`; None before.
        ended_at: the time at which a poll first found that it has ended, from `time.monotonic`; None before.
        stop: the request to stop, or None.
    """

    job: Job
    place: Allocation | str
    started_at: float | None = field(default=None, init=False)
    ended_at: float | None = field(default=None, init=False)
    stop: StopRequest | None = field(default=None, init=False)

    @abstractmethod
    def poll(self) -> JobState:
        """Return the current state, without side effects."""

    @property
    def recorded_state(self) -> Literal[Status.QUEUED, Status.RUNNING]:
        """The state of a job that has not ended, read from its run directory."""
        recorded = self.job.run.recorded_status
        return Status.QUEUED if recorded in (Status.QUEUED, Status.UNREADABLE) else Status.RUNNING

    @property
    def is_outlived(self) -> bool:
        """Whether the job has ended, and a process that it has left still saves; it ends by itself."""
        is_recent = self.ended_at is not None and time.monotonic() - self.ended_at < SECONDS_TO_SAVE
        return is_recent and observe_lock(self.job.run.path).is_held

    @property
    def is_overdue(self) -> bool:
        """Whether more than `SECONDS_TO_STOP` have passed since the job was asked to stop."""
        return self.stop is not None and time.monotonic() - self.stop.requested_at > SECONDS_TO_STOP


S = TypeVar("S", bound=SubmittedJob)


class Backend(ABC, Generic[S]):
    """The base class of backends. One backend runs all jobs of a sweep.

    Args:
        settings: the fields of the launcher's config. Every launcher has `on_error`, which says whether the other jobs
            `continue` when one fails or all `stop`, and `max_failures`, the number of failed jobs at which the sweep
            stops, or None, and `retries`, how often a job starts again whose end may have a
            transient cause. Launchers without a scheduler have `job_timeout`, the seconds after which a job is stopped
            as hung, or None.

    Raises:
        UserError: for an invalid setting.
    """

    num_gpus: int
    """The number of GPUs that `trainer.accelerator=auto` and `trainer.devices=-1` select."""
    poll_seconds = 0.5
    """The interval at which all jobs are polled."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self.submitted: list[S] = []
        self.waiting: list[Job] = []
        self.num_failed = 0
        self.job_timeout = settings.get("job_timeout")
        try:
            validate_choice("hydra.launcher.on_error", settings["on_error"], ON_ERROR)
        except ValueError as error:
            raise UserError(str(error)) from None
        self.require_positive(optional=("max_failures",))
        self.retries = settings["retries"]
        if not (type(self.retries) is int and self.retries >= 0):
            raise UserError(f"hydra.launcher.retries must be a whole number of at least 0, not {self.retries!r}")
        if self.job_timeout is not None and not (isinstance(self.job_timeout, int | float) and self.job_timeout > 0):
            raise UserError(f"hydra.launcher.job_timeout must be a number of seconds, not {self.job_timeout!r}")

    def require_positive(self, *names: str, optional: Sequence[str] = ()) -> None:
        """Raise UserError for a setting that is not a whole number of at least 1; optional ones may be None."""
        given = [*names, *(name for name in optional if self.settings.get(name) is not None)]
        try:
            require_positive(**{f"hydra.launcher.{name}": self.settings[name] for name in given})
        except ValueError as error:
            raise UserError(str(error)) from None

    def preload(self) -> None:
        """Start slow preparations that every job needs. They run while the jobs are composed."""

    def validate_jobs(self, jobs: Sequence[Job]) -> None:
        """Raise UserError for a job that can never run."""

    def reattach(self, jobs: Sequence[Job]) -> None:
        """Find jobs that an earlier command submitted and that still run, and add them to `submitted`.

        Raises:
            UserError: for a job that SLURM may still run.
        """
        for job in jobs:
            if not job.status.is_final and SlurmRecord.read(job.run) is not None:
                raise UserError(
                    f"{job.label}: SLURM may still run it: continue with hydra/launcher=submitit_slurm, which looks it "
                    f"up, or if you know that it has ended, remove {job.run.slurm_file}"
                )

    def dry_run_report(self, jobs: Sequence[Job]) -> None:
        """Print the jobs without an estimate of their time, since they run on other machines."""
        console = Console(soft_wrap=True, highlight=False)
        for job in jobs:
            is_pending = not job.status.is_final and not job.status.is_live
            state = ("to be continued" if job.resumes else "to run") if is_pending else str(job.status)
            console.print(f"{state:<15} {job.label} on {job.request}", markup=False)
        console.print(f"{len(jobs)} jobs; their duration is not estimated, since they run on other machines")

    @abstractmethod
    def submit(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
        """Submit the jobs that can be submitted now, and add them to `submitted`. It is called again for the others."""

    def wait(self) -> None:
        """Return when a job may have ended, and after `poll_seconds` at the latest."""
        time.sleep(self.poll_seconds)

    def refresh(self, progress: SweepProgress) -> None:
        """Query the scheduler for the states of all jobs, if `poll` reads them from one query."""

    @abstractmethod
    def request_stop(self, entries: Sequence[S]) -> None:
        """Ask jobs to save their state and end, or not to start. It is called once for each job."""

    def enforce_stop(self, entries: Sequence[S]) -> None:
        """Repeat the request or kill jobs, if necessary. It is called at every poll for jobs that must stop."""

    def release(self, entry: S) -> None:
        """Release the resources of a job. It is called when the job has ended or is lost."""

    def run(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
        """Run prepared jobs, the longest first, until the status of each is final or known to be a failure.

        Raises:
            KeyboardInterrupt, InterruptedRunError: after all jobs have stopped.
        """
        self.waiting = self._not_submitted(sorted(jobs, key=lambda job: job.cost, reverse=True))
        try:
            while self.waiting or self.submitted:
                if self.waiting:
                    self.submit(self.waiting, progress)
                    self.waiting = self._not_submitted(self.waiting)
                self._poll_all(progress)
                self.wait()
                self._poll_all(progress)
                self._stop_hung_jobs()
                if self._has_too_many_failures:
                    self.waiting = []
                    self.stop(self.submitted, Status.INTERRUPTED, "stopped after failures of other jobs")
                progress.tick()
        except BaseException as error:
            if not self.outlives(error):
                self._stop_all(progress)
            raise

    def outlives(self, error: BaseException) -> bool:  # noqa: ARG002
        """Return whether the jobs continue after an error that ends the sweep's command."""
        return False

    def stop(self, entries: Sequence[S], status: Status, reason: str = "") -> None:
        """Ask jobs to stop. A job that was asked before keeps its first request.

        Args:
            entries: the jobs.
            status: the status to record for those that record no end.
            reason: if not empty, the reason to record in place of the job's own.
        """
        if new := [entry for entry in entries if entry.stop is None]:
            self.request_stop(new)
            for entry in new:
                entry.stop = StopRequest(time.monotonic(), status, reason)

    @property
    def _has_too_many_failures(self) -> bool:
        limit = 1 if self.settings["on_error"] == "stop" else self.settings.get("max_failures")
        return limit is not None and self.num_failed >= limit

    def _not_submitted(self, jobs: Sequence[Job]) -> list[Job]:
        submitted = {entry.job for entry in self.submitted}
        return [job for job in jobs if job not in submitted]

    def _poll_all(self, progress: SweepProgress) -> None:
        """Poll every job: record which started, finalize those that ended, and enforce requests to stop."""
        self.refresh(progress)
        for entry in list(self.submitted):
            state = entry.poll()
            if isinstance(state, Ended):
                entry.ended_at = entry.ended_at or time.monotonic()
                if entry.is_outlived:
                    continue
            elif entry.is_overdue:
                state = LOST
            if entry.started_at is None and state is not Status.QUEUED:
                entry.started_at, entry.job.status = time.monotonic(), Status.RUNNING
                progress.started(entry.job, entry.place)
            if isinstance(state, Ended):
                self._finalize(entry, state, progress)
        self.enforce_stop([entry for entry in self.submitted if entry.stop is not None])

    def _finalize(self, entry: S, ended: Ended, progress: SweepProgress) -> None:
        self.submitted.remove(entry)
        job, stop = entry.job, entry.stop
        if stop is None:
            reason = finalize(job, ended.reason, ended.status, is_transient=ended.is_transient)
        else:
            lost = f"; {ended.reason}" if ended is LOST else ""
            reason = finalize(job, f"cancelled with the sweep{lost}", stop.status, stop.reason)
        progress.ended(job, reason)
        is_cancelled = self._has_too_many_failures or (stop is not None and stop.status is Status.INTERRUPTED)
        if job.is_transient and job.num_retries < self.retries and not is_cancelled:
            self._prepare_again(job, progress)
        self.num_failed += job.status is Status.FAILED
        # Comes last, since it may fail and the status must be recorded before.
        self.release(entry)

    def _prepare_again(self, job: Job, progress: SweepProgress) -> None:
        """Prepare a job that has ended to continue from its last checkpoint, or to begin anew if it has none."""
        job.num_retries += 1
        try:
            prepare(job, job.run.read_status().get("code") or {})
        except (OSError, UserError) as error:
            # The sweep continues, since other jobs may write to another disk.
            job.status = Status.FAILED
            progress.say(f"{job.label} cannot start again: {error}")
        else:
            self.waiting.append(job)
            progress.say(f"again  {job.label}, retry {job.num_retries} of {self.retries}")

    def _stop_hung_jobs(self) -> None:
        if (limit := self.job_timeout) is not None:
            latest = time.monotonic() - limit
            hung = [entry for entry in self.submitted if entry.started_at is not None and entry.started_at < latest]
            self.stop(hung, Status.FAILED, f"ran longer than job_timeout={limit:g} seconds")

    def _stop_all(self, progress: SweepProgress) -> None:
        if self.submitted:
            progress.say(f"stopping {len(self.submitted)} jobs; those that have started save their state")
        while self.submitted:
            self.stop(self.submitted, Status.INTERRUPTED)
            self.wait()
            self._poll_all(progress)
