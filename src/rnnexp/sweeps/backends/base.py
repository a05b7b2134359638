"""What runs the jobs of a sweep, wherever that is: they are handed over, watched until they end, and settled."""

import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

from rich.console import Console

from rnnexp.core.errors import UserError
from rnnexp.core.validation import require_positive, validate_choice
from rnnexp.sweeps.devices import Allocation
from rnnexp.sweeps.jobs import Job, finalize
from rnnexp.sweeps.process.watchdog import GRACE_SECONDS
from rnnexp.sweeps.progress import SweepProgress

# Beyond the grace that a job itself has: what stands between here and there takes time as well.
SECONDS_TO_STOP = GRACE_SECONDS + 20
ON_ERROR = ("continue", "stop")


@dataclass
class Submitted(ABC):
    """A job that was handed over.

    `place` tells a person where it is. `begun` is the instant at which it was seen to begin, `asked` the one at which
    it was asked to stop, `verdict` what its status is to be if it leaves none, `why` the reason for which it was asked.
    """

    job: Job
    place: Allocation | str
    begun: float | None = field(default=None, init=False)
    asked: float | None = field(default=None, init=False)
    verdict: str = field(default="failed", init=False)
    why: str = field(default="", init=False)

    def has_begun(self) -> bool:
        return status_of(self.job) != "queued"

    @abstractmethod
    def has_ended(self) -> bool:
        """Whether nothing of it runs or will run."""

    @abstractmethod
    def exit_reason(self) -> str:
        """The reason to record if the job has left none."""


S = TypeVar("S", bound=Submitted)


class Engine(ABC, Generic[S]):
    """What runs the jobs of a sweep; lasts as long as the sweep.

    Args:
        settings: of the launcher. Of every one: `on_error`, `continue` with the other jobs when one fails, or `stop`;
            `max_failures`, the number of failed jobs at which the sweep stops, None never stops it. Where nobody else
            has a limit: `job_timeout`, seconds after which a job counts as hung and is stopped, None lets it run.

    Raises:
        UserError: for a value outside these.
    """

    num_gpus: int
    """that `trainer.accelerator=auto` and `trainer.devices=-1` stand for"""
    seconds_between_looks = 0.5

    def __init__(self, settings: Mapping[str, Any]) -> None:
        self.settings = settings
        self.submitted: list[S] = []
        self.num_failed = 0
        self.job_timeout = settings.get("job_timeout")
        try:
            validate_choice("hydra.launcher.on_error", settings["on_error"], ON_ERROR)
        except ValueError as error:
            raise UserError(str(error)) from None
        self.require_positive(optional=("max_failures",))
        if self.job_timeout is not None and not (isinstance(self.job_timeout, int | float) and self.job_timeout > 0):
            raise UserError(f"hydra.launcher.job_timeout must be a number of seconds, not {self.job_timeout!r}")

    def require_positive(self, *names: str, optional: Sequence[str] = ()) -> None:
        """Raises UserError for a setting that is not a whole number of at least 1; an optional one may be None."""
        given = [*names, *(name for name in optional if self.settings.get(name) is not None)]
        try:
            require_positive(**{f"hydra.launcher.{name}": self.settings[name] for name in given})
        except ValueError as error:
            raise UserError(str(error)) from None

    def preload(self) -> None:
        """Begins what takes a while and every job will need, while the jobs are composed."""

    def validate_jobs(self, jobs: Sequence[Job]) -> None:
        """Raises UserError for a job that can never run."""

    def reattach(self, jobs: Sequence[Job]) -> None:
        """Marks jobs that an earlier command started and that go on without it; from now on they are watched.

        Raises:
            UserError: for a job that SLURM may be running.
        """
        for job in jobs:
            if not job.is_final and job.run.slurm_file.exists():
                raise UserError(
                    f"{job.label}: SLURM may still run it: go on with hydra/launcher=submitit_slurm, which looks it "
                    f"up, or if you know that it has ended, remove {job.run.slurm_file}"
                )

    @abstractmethod
    def submit(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
        """Adds to `submitted` those of the jobs that can be handed over now; called again for those that remain."""

    def dry_run_report(self, jobs: Sequence[Job]) -> None:
        """Lists the jobs. None is tried: they will run on other machines than this."""
        console = Console(soft_wrap=True, highlight=False)
        for job in jobs:
            need = f"{job.need.gpus} gpu" if job.need.gpus else f"{job.need.cores} core"
            is_left = not job.is_final and not job.is_under_way
            state = ("to be continued" if job.resumes else "to run") if is_left else job.status
            console.print(f"{state:<15} {job.label} on {need}", markup=False)
        console.print(f"{len(jobs)} jobs; how long they take is not tried here, where they will not run")

    def run(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
        """Runs frozen jobs, the longest first, until each has a status that is true, and says so when it has.

        Raises:
            KeyboardInterrupt, InterruptedRunError: after all jobs have stopped.
        """
        waiting = self._not_submitted(sorted(jobs, key=lambda job: job.cost, reverse=True))
        try:
            while waiting or self.submitted:
                if waiting:
                    self.submit(waiting, progress)
                    waiting = self._not_submitted(waiting)
                self._tell_what_began(progress)
                self.wait()
                self._settle_what_ended(progress)
                self._stop_what_hangs()
                if self._is_enough:
                    waiting = []
                    self.stop(self.submitted, "interrupted", "stopped after failures of other jobs")
                progress.tick()
        except BaseException:
            self._stop_all(progress)
            raise

    def wait(self) -> None:
        """Returns when a job may have ended, and soon in any case."""
        time.sleep(self.seconds_between_looks)

    @abstractmethod
    def ask_to_stop(self, entries: Sequence[S]) -> None:
        """Asks jobs to save and end, or not to begin; asked again while they have not ended."""

    def stop(self, entries: Sequence[S], verdict: str, why: str = "") -> None:
        """Asks jobs to stop; of those that were asked before, what was said then counts.

        Args:
            verdict: what the status of each is to be.
            why: the reason, if the job's own is not to stand.
        """
        self.ask_to_stop(entries)
        for entry in entries:
            if entry.asked is None:
                entry.asked, entry.verdict, entry.why = time.monotonic(), verdict, why

    @property
    def _is_enough(self) -> bool:
        limit = 1 if self.settings["on_error"] == "stop" else self.settings.get("max_failures")
        return limit is not None and self.num_failed >= limit

    def _not_submitted(self, jobs: Sequence[Job]) -> list[Job]:
        submitted = {id(entry.job) for entry in self.submitted}
        return [job for job in jobs if id(job) not in submitted]

    def _tell_what_began(self, progress: SweepProgress) -> None:
        for entry in self.submitted:
            if entry.begun is None and entry.has_begun():
                self._begin(entry, progress)

    def _begin(self, entry: S, progress: SweepProgress) -> None:
        entry.begun, entry.job.status = time.monotonic(), "running"
        progress.started(entry.job, entry.place)

    def _settle_what_ended(self, progress: SweepProgress) -> None:
        for entry in list(self.submitted):
            is_lost = entry.asked is not None and time.monotonic() - entry.asked > SECONDS_TO_STOP
            if entry.has_ended() or is_lost:
                if entry.begun is None:
                    self._begin(entry, progress)
                self._settle(entry, progress)

    def _settle(self, entry: S, progress: SweepProgress) -> None:
        self.submitted.remove(entry)
        if entry.asked is None:
            ended = entry.exit_reason()
        else:
            ended = "cancelled with the sweep" + "; it did not say that it ended" * (not entry.has_ended())
        reason = finalize(entry.job, ended, entry.verdict, entry.why)
        self.num_failed += entry.job.status == "failed"
        progress.ended(entry.job, reason)

    def _stop_what_hangs(self) -> None:
        self.ask_to_stop([entry for entry in self.submitted if entry.asked is not None])
        limit = self.job_timeout
        if limit is not None:
            latest = time.monotonic() - limit
            hung = [entry for entry in self.submitted if entry.begun is not None and entry.begun < latest]
            self.stop(hung, "failed", f"ran longer than job_timeout={limit:g} seconds")

    def _stop_all(self, progress: SweepProgress) -> None:
        if self.submitted:
            progress.say(f"stopping {len(self.submitted)} jobs; those that have begun save where they are")
        while self.submitted:
            self.stop(self.submitted, "interrupted")
            self.wait()
            self._settle_what_ended(progress)


def status_of(job: Job) -> str:
    """The status that a job's directory has, `queued` if it cannot be read."""
    try:
        return job.run.status
    except (OSError, UserError):
        return "queued"
