"""The jobs of a sweep on one machine, each a process of its own, as many at once as there are devices for."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, ForkServerProcess

from rnnexp.arguments import choose, require_positive
from rnnexp.errors import UserError
from rnnexp.launch.command_line import full_error_of_user
from rnnexp.launch.devices import Devices, Grant, num_cores, visible_gpus
from rnnexp.launch.job_process import run_job, start_server
from rnnexp.launch.lifeline import GRACE_SECONDS
from rnnexp.launch.sweep_jobs import Job, how_it_ended, require_gpus, settle
from rnnexp.launch.sweep_progress import SweepProgress

SECONDS_BETWEEN_LOOKS = 0.5
ON_ERROR = dict.fromkeys(("continue", "stop"))


@dataclass(frozen=True)
class PoolSettings:
    """How the jobs of a sweep run.

    Args:
        jobs: how many at once, at most; `auto` is as many as there are devices for: GPUs times `jobs_per_device`, or
            cores of the CPU divided by `num_threads`.
        jobs_per_device: how many share a GPU.
        job_timeout: seconds after which a job counts as hung and is stopped; None lets it run.
        on_error: `continue` with the other jobs when one fails, or `stop`.
        max_failures: the number of failed jobs at which the sweep stops; None never stops it.

    Raises:
        UserError: for a value outside these.
    """

    jobs: int | str
    jobs_per_device: int
    job_timeout: float | None
    on_error: str
    max_failures: int | None

    def __post_init__(self) -> None:
        try:
            choose("hydra.launcher.on_error", self.on_error, ON_ERROR)
            require_positive(**{"hydra.launcher.jobs_per_device": self.jobs_per_device})
            if self.jobs != "auto":
                require_positive(**{"hydra.launcher.jobs": self.jobs})  # type: ignore[arg-type]
            if self.max_failures is not None:
                require_positive(**{"hydra.launcher.max_failures": self.max_failures})
        except ValueError as error:
            raise UserError(str(error)) from None
        if self.job_timeout is not None and not (isinstance(self.job_timeout, int | float) and self.job_timeout > 0):
            raise UserError(f"hydra.launcher.job_timeout must be a number of seconds, not {self.job_timeout!r}")


@dataclass
class Running:
    """A job under way. `asked` is the instant at which it was asked to stop, `why` the reason, if the job has none."""

    job: Job
    process: ForkServerProcess
    grant: Grant
    start: float = field(default_factory=time.monotonic)
    asked: float | None = None
    verdict: str = "failed"
    why: str = ""

    def ask_to_stop(self, verdict: str, why: str = "") -> None:
        """First with SIGTERM, so that the job saves what it has; past the grace with SIGKILL.

        Args:
            verdict: what the job's status is to be.
        """
        if self.asked is None:
            self.asked, self.verdict, self.why = time.monotonic(), verdict, why
            self.process.terminate()
        elif time.monotonic() - self.asked > GRACE_SECONDS:
            self.process.kill()


class Pool:
    """The engine of a sweep on one machine; see rnnexp.launch.sweep.Engine."""

    def __init__(self, settings: PoolSettings) -> None:
        self.settings = settings
        gpus = visible_gpus()
        self.num_gpus = len(gpus)
        self.devices = Devices(gpus, settings.jobs_per_device, num_cores())
        self.num_failed = 0

    def admit(self, jobs: Sequence[Job]) -> None:
        """Raises UserError for a job that needs more GPUs than there are."""
        require_gpus(jobs, self.num_gpus)

    def rehearse(self, jobs: Sequence[Job]) -> None:
        """Shows the jobs in a table; each configuration takes some training steps, to be timed."""
        from rnnexp.launch.rehearsal import rehearse

        rehearse(jobs, self.devices)

    def run(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
        """Runs the longest first, as many at once as there are devices for."""
        waiting = sorted(jobs, key=lambda job: job.cost, reverse=True)
        running: list[Running] = []
        context = start_server()
        try:
            while waiting or running:
                waiting = self._start_what_fits(waiting, running, context, progress)
                self._settle_what_ended(running, progress)
                self._stop_what_hangs(running)
                if self._is_enough:
                    waiting = []
                    for entry in running:
                        entry.ask_to_stop("interrupted", "stopped after failures of other jobs")
                progress.tick()
        except BaseException:
            self._stop_all(running, progress)
            raise

    @property
    def _is_enough(self) -> bool:
        limit = 1 if self.settings.on_error == "stop" else self.settings.max_failures
        return limit is not None and self.num_failed >= limit

    def _start_what_fits(
        self,
        waiting: Sequence[Job],
        running: list[Running],
        context: ForkServerContext,
        progress: SweepProgress,
    ) -> list[Job]:
        """Starts jobs, the longest first and shorter ones in the gaps. Returns those that must wait."""
        left = []
        for job in waiting:
            full = self.settings.jobs != "auto" and len(running) >= int(self.settings.jobs)
            grant = None if full else self.devices.grant(job.need)
            if grant is None:
                left.append(job)
                continue
            overrides = [f"ckpt_path='{job.run.last_checkpoint}'"] if job.resumes else []
            environment = {**grant.environment, "HYDRA_FULL_ERROR": full_error_of_user()}
            process = context.Process(target=run_job, args=(job.run.path, overrides, environment))
            process.start()
            job.status = "running"
            running.append(Running(job, process, grant))
            progress.started(job, grant)
        return left

    def _stop_what_hangs(self, running: Sequence[Running]) -> None:
        limit = self.settings.job_timeout
        for entry in running:
            if entry.asked is not None:
                entry.ask_to_stop(entry.verdict)
            elif limit is not None and time.monotonic() - entry.start > limit:
                entry.ask_to_stop("failed", f"ran longer than job_timeout={limit:g} seconds")

    def _stop_all(self, running: list[Running], progress: SweepProgress) -> None:
        if running:
            progress.say(f"stopping {len(running)} jobs; they save where they are")
        while running:
            for entry in running:
                entry.ask_to_stop("interrupted")
            self._settle_what_ended(running, progress)

    def _settle_what_ended(self, running: list[Running], progress: SweepProgress) -> None:
        """Waits a moment for jobs to end."""
        wait([entry.process.sentinel for entry in running], timeout=SECONDS_BETWEEN_LOOKS)
        for entry in [entry for entry in running if entry.process.exitcode is not None]:
            running.remove(entry)
            self._settle(entry, progress)

    def _settle(self, entry: Running, progress: SweepProgress) -> None:
        self.devices.release(entry.grant)
        reason = settle(entry.job, how_it_ended(entry.process.exitcode), entry.verdict, entry.why)
        self.num_failed += entry.job.status == "failed"
        progress.ended(entry.job, reason)
