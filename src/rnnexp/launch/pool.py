"""The jobs of a sweep on one machine, each a process of its own, as many at once as there are devices for."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from types import FrameType

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

import rnnexp
from rnnexp.arguments import choose, require_positive
from rnnexp.errors import InterruptedRunError, SweepFailedError, UserError
from rnnexp.launch.command_line import full_error_of_user
from rnnexp.launch.devices import Devices, Grant, visible_gpus
from rnnexp.launch.job_process import run_job, start_server
from rnnexp.launch.lifeline import GRACE_SECONDS
from rnnexp.launch.sweep_jobs import Job, compose_jobs, look_up, prepare
from rnnexp.launch.sweep_progress import SweepProgress
from rnnexp.tracking.environment import git_state
from rnnexp.tracking.sweep_directory import SweepDirectory
from rnnexp.tracking.wandb_sync import sync_command

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
    """Runs what a sweeper asks for, in one sweep directory.

    Args:
        settings: how.
        config: of the multirun as a whole: `sweep_dir`, `dry_run`, `force`, `report`, and Hydra's own.
        loader: composes the configs of the jobs.

    Raises:
        UserError: if the sweep directory is not this sweep's, or in use.
    """

    def __init__(self, settings: PoolSettings, config: DictConfig, loader: ConfigLoader) -> None:
        self.settings, self.config, self.loader = settings, config, loader
        self.config.sweep_dir = str(Path(config.sweep_dir).expanduser().absolute())
        self.name = str(config.hydra.job.config_name)
        self.code = git_state(Path(rnnexp.__file__).parent)
        self.gpus = visible_gpus()
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        self.devices = Devices(self.gpus, settings.jobs_per_device, cores)
        self.jobs: list[Job] = []
        if config.dry_run:
            self.sweep = SweepDirectory(Path(config.sweep_dir))
            self.sweep.forget_multirun()
        else:
            self.sweep = SweepDirectory.open(Path(config.sweep_dir), self.name)

    def launch(self, points: Sequence[Sequence[str]]) -> list[JobReturn]:
        """Runs the jobs of these points of the grid, except those that are done.

        Args:
            points: the overrides of each.

        Raises:
            UserError: before anything runs, if the directory was made by other code, or a job needs more GPUs than
                there are.
            SweepFailedError: at the end, if a job failed.
            KeyboardInterrupt, InterruptedRunError: after all children have stopped.
        """
        if not points:
            raise UserError("the grid is empty: give an axis some values, model=srn,gru")
        jobs = compose_jobs(self.loader, self.config, points, self.sweep, len(self.gpus))
        look_up(jobs, self.code, bool(self.config.force))
        for job in jobs:
            if job.need.gpus > len(self.gpus):
                raise UserError(f"{job.label}: needs {job.need.gpus} GPUs, and there are {len(self.gpus)}")
        if self.config.dry_run:
            from rnnexp.launch.rehearsal import rehearse

            rehearse(_distinct(jobs), self.devices)
            return []
        self.jobs = _distinct([*self.jobs, *jobs])
        command = shlex.join(["python", *sys.orig_argv[1:]])
        self.sweep.write_record(self.name, command, self.code, [job.run.path.name for job in self.jobs])
        wanted = _distinct([job for job in jobs if not job.is_final])
        with SweepProgress(_distinct(jobs)) as progress:
            for job in wanted:
                prepare(job, self.code)
            number = len(_distinct(jobs))
            progress.say(f"{number} job{'s' * (number > 1)}, {len(wanted)} to run, in {self.sweep.path}")
            with _sigterm_raises(), _told_how_to_continue(progress, self.sweep.path):
                self._run(wanted, progress)
            progress.say(progress.summary())
            if upload := sync_command(self.sweep.path):
                progress.say(f"W&B: upload these runs with  {upload}")
        if self.config.report:
            # A process of its own: what it imports, and what goes wrong in it, is no part of the sweep.
            subprocess.run([sys.executable, "-m", "rnnexp.report", str(self.sweep.path)], check=False)
        self._require_success()
        return [
            JobReturn(overrides=job.typed, working_dir=str(job.run.path), status=JobStatus.COMPLETED) for job in jobs
        ]

    def _run(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
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
        return limit is not None and sum(job.status == "failed" for job in self.jobs) >= limit

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
        """Finds out what became of a job, and writes it down where the job could not."""
        job, code = entry.job, entry.process.exitcode
        self.devices.release(entry.grant)
        try:
            record = job.run.read_status()
            job.status, reason = str(record["status"]), str(record["reason"])
            died_silently = job.status in ("queued", "running")
            if died_silently or (entry.why and job.status == "interrupted"):
                job.status, reason = entry.verdict, entry.why or _how_it_ended(code)
                job.run.end(job.status, reason)
        except (OSError, UserError) as error:
            # A full disk, say: the other jobs may still have somewhere to write.
            job.status, reason = "failed", f"{_how_it_ended(code)}, and its status could not be recorded ({error})"
        progress.ended(job, reason)

    def _require_success(self) -> None:
        counts = Counter(job.status for job in self.jobs)
        told = " and ".join(f"{counts[status]} {status}" for status in ("failed", "interrupted") if counts[status])
        if told:
            raise SweepFailedError(
                f"{told} of {len(self.jobs)} jobs, see output.log in {self.sweep.jobs}; the same command with "
                f"sweep_dir={self.sweep.path} runs these again"
            )


def _distinct(jobs: Sequence[Job]) -> list[Job]:
    return list({id(job): job for job in jobs}.values())


def _how_it_ended(code: int | None) -> str:
    if code == -signal.SIGKILL:
        return "killed with SIGKILL, by somebody or because the machine ran out of memory"
    if code is not None and code < 0:
        return f"killed with {signal.Signals(-code).name}"
    return f"ended with exit code {code} without a word in its status"


@contextmanager
def _sigterm_raises() -> Iterator[None]:
    def interrupt(number: int, _: FrameType | None) -> None:
        raise InterruptedRunError(f"interrupted by {signal.Signals(number).name}", number)

    previous = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


@contextmanager
def _told_how_to_continue(progress: SweepProgress, path: Path) -> Iterator[None]:
    try:
        yield
    except (KeyboardInterrupt, InterruptedRunError):
        progress.say(f"continue with the same command and sweep_dir={path}")
        raise
