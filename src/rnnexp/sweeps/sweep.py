"""A sweep: it runs the jobs of a grid in one directory with any backend, and writes a report."""

import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import rnnexp
from rnnexp.cli.value_types import OWN_PACKAGES
from rnnexp.core.errors import InterruptedRunError, SweepFailedError, UserError
from rnnexp.core.files.atomic import read_json
from rnnexp.core.printable import shown, without_secrets
from rnnexp.core.signals import STOP_SIGNALS_BUT_CTRL_C, interrupted_by
from rnnexp.core.validation import did_you_mean, quote_override
from rnnexp.loggers.wandb_sync import sync_command
from rnnexp.sweeps.argument_check import require_constructible_jobs
from rnnexp.sweeps.backends.base import Backend
from rnnexp.sweeps.jobs import Job, load_statuses, prepare_all
from rnnexp.sweeps.progress import SweepProgress
from rnnexp.tracking.environment import git_state
from rnnexp.tracking.identity import RUN_ONLY
from rnnexp.tracking.status import Status
from rnnexp.tracking.sweep_directory import SweepDirectory

NUM_LISTED = 3
"""The number of repeated points, or of differing keys, that a line lists."""
REPORT_SECONDS = 1800
"""The time after which a report is given up: the jobs have ended, and a file system may not answer."""
NOT_GIVEN = "by default"
"""The value of a key that no override names."""

Points = Sequence[Sequence[str]]
"""The overrides of each point of a grid."""
Compose = Callable[[Points, SweepDirectory, int], list[Job]]
"""A function that makes the jobs of points, see `rnnexp.sweeps.compose.JobComposer`."""


@dataclass(frozen=True)
class SweepSettings:
    """Settings of a sweep as a whole.

    Args:
        directory: the sweep directory, an absolute path.
        name: the name of the primary config, which identifies the sweep of a directory.
        multirun: the overrides and the composed config of the command, as YAML without secrets.
        dry_run: whether the jobs are listed instead of run.
        allow_code_change: whether the sweep may continue on other code.
        report: whether a report is written at the end.
        optimized_metric: the metric in result.json that a search optimizes.
    """

    directory: Path
    name: str
    multirun: str = ""
    dry_run: bool = False
    allow_code_change: bool = False
    report: bool = True
    optimized_metric: str | None = None


@dataclass(frozen=True)
class JobOutcome:
    """The outcome of one job.

    Args:
        status: the status of its run directory, `waiting` if it was not started.
        directory: the run directory.
        value: the optimized metric, if there is one and the job measured it.
        error: the error of a job that failed or did not measure the optimized metric.
    """

    status: Status
    directory: Path
    value: float | None = None
    error: UserError | None = None


class Sweep:
    """The jobs of a sweep in one sweep directory.

    Args:
        settings: settings of the sweep as a whole.
        compose: makes the jobs of points.
        backend: runs the jobs.

    Raises:
        UserError: if the directory holds another sweep, or is in use, or its jobs ran on other code without
            `allow_code_change`.
    """

    def __init__(self, settings: SweepSettings, compose: Compose, backend: Backend[Any]) -> None:
        self.settings, self.backend = settings, backend
        self._compose_jobs = compose
        self.code = git_state(Path(rnnexp.__file__).parent)
        self.jobs: list[Job] = []
        if settings.dry_run:
            self.directory = SweepDirectory(settings.directory)
        else:
            self.directory = SweepDirectory.open(settings.directory, settings.name)
        if not settings.allow_code_change:
            self.directory.require_code(self.code)

    def check(self, points: Points) -> list[Job]:
        """Return the jobs of these points. No file is changed.

        Raises:
            UserError: if a config cannot be composed, or a job cannot run here.
        """
        jobs = self._compose_jobs(points, self.directory, self.backend.num_gpus)
        load_statuses(jobs)
        require_constructible_jobs([job.config for job in jobs if not job.status.is_final])
        self.backend.validate_jobs(jobs)
        return jobs

    def launch(self, points: Points, *, report: bool) -> list[JobOutcome]:
        """Run the jobs of these points, except those that are done.

        Args:
            points: the overrides of each point.
            report: whether a report is written at the end.

        Returns:
            The outcome of each point's job, in their order; an empty list for a dry run.

        Raises:
            UserError: before any job starts, if one cannot be composed or cannot run here.
            KeyboardInterrupt, InterruptedRunError: after all jobs have stopped.
        """
        if not points:
            raise UserError("the grid is empty: give an axis some values, model=srn,gru")
        if not self.settings.dry_run:
            self.backend.preload()
        jobs = self.check(points)
        for line in (describe_repetitions(points, jobs), describe_other_jobs(self.directory, [*self.jobs, *jobs])):
            if line:
                print(shown(line), flush=True)
        self.backend.reattach(jobs)
        distinct = list(dict.fromkeys(jobs))
        if self.settings.dry_run:
            self.backend.dry_run_report(distinct)
            return []
        self._run(distinct)
        if report:
            start_report(self.directory.path, modules_of_tasks(distinct))
        return [self._outcome(job) for job in jobs]

    def _run(self, jobs: Sequence[Job]) -> None:
        self.jobs = list(dict.fromkeys([*self.jobs, *jobs]))
        # A word that is quoted is no longer the text of a secret.
        command = shlex.join(["python", *map(without_secrets, sys.orig_argv[1:])])
        names = [job.run.path.name for job in self.jobs]
        self.directory.write_record(self.settings.name, command, self.code, names)
        self.directory.write_multirun(self.settings.multirun)
        num_unfinished = sum(not job.status.is_final for job in jobs)
        with SweepProgress(jobs) as progress:
            number = len(jobs)
            progress.say(f"{number} job{'s' * (number > 1)}, {num_unfinished} to run, in {self.directory.path}")
            # A live job was submitted by an earlier command, and the backend has found it.
            live = [job for job in jobs if job.status.is_live]
            ready = prepare_all([job for job in jobs if job not in live], self.code, progress.say, progress.tick)
            with interrupted_by(STOP_SIGNALS_BUT_CTRL_C), _resume_hint(progress, self.directory.path):
                self.backend.run([*live, *ready], progress)
            progress.say(progress.summary())
            if upload := sync_command(self.directory.path):
                progress.say(f"W&B: upload these runs with  {upload}")

    def _outcome(self, job: Job) -> JobOutcome:
        if job.status in (Status.FAILED, Status.INTERRUPTED):
            return JobOutcome(job.status, job.run.path, error=self._failure())
        name = self.settings.optimized_metric
        if name is None or job.status is not Status.DONE:
            return JobOutcome(job.status, job.run.path)
        metrics: dict[str, float | None] = read_json(job.run.result_file)["metrics"]
        if name not in metrics:
            error = UserError(
                f"optimized_metric={name} is not measured: {job.run.path} has {', '.join(sorted(metrics))}"
                f"{did_you_mean(name, metrics)}"
            )
            return JobOutcome(job.status, job.run.path, error=error)
        return JobOutcome(job.status, job.run.path, value=metrics[name])

    def _failure(self) -> SweepFailedError:
        counts = Counter(job.status for job in self.jobs)
        failures = (Status.FAILED, Status.INTERRUPTED)
        counted = " and ".join(f"{counts[status]} {status}" for status in failures if counts[status])
        return SweepFailedError(
            f"{counted} of {len(self.jobs)} jobs, see output.log in {self.directory.jobs}; the same command with "
            f"{quote_override('sweep_dir', self.directory.path)} runs these again"
        )


def describe_repetitions(points: Points, jobs: Sequence[Job]) -> str:
    """Return one line about the points that share the job of an earlier point; empty if there are none.

    Such points differ in no key that is part of the identity of an experiment, see `rnnexp.tracking.identity`.

    Args:
        points: the overrides of each point.
        jobs: the job of each point.
    """
    first: dict[Job, Sequence[str]] = {}
    repeated = []
    for overrides, job in zip(points, jobs, strict=True):
        if job in first:
            differing = [override for override in overrides if override not in first[job]] or overrides
            repeated.append(f"{' '.join(differing)} as {job.label}")
        first.setdefault(job, overrides)
    if not repeated:
        return ""
    listed = repeated[:NUM_LISTED] + [f"and {len(repeated) - NUM_LISTED} more"] * (len(repeated) > NUM_LISTED)
    return (
        f"{len(repeated)} of {len(points)} points {'is' if len(repeated) == 1 else 'are'} the same experiment as an "
        f"earlier one and run once: {'; '.join(listed)}"
    )


def describe_other_jobs(directory: SweepDirectory, jobs: Sequence[Job]) -> str:
    """Return one line about jobs of earlier grids in the directory that differ in a key on which all jobs here agree.

    Args:
        directory: the sweep directory.
        jobs: the jobs of this command; for trials of a search, which differ in every key, the line is empty.
    """
    if any(job.config.get("trial_number") is not None for job in jobs):
        return ""
    here = [_by_key(job.overrides) for job in jobs]
    own = {job.run.path.name for job in jobs}
    others = [
        _by_key(directory.job(name).read_overrides())
        for name in sorted(path.parent.name for path in directory.jobs.glob("*/overrides.yaml"))
        if name not in own
    ]
    differing = {
        key: (other.get(key, NOT_GIVEN), here[0].get(key, NOT_GIVEN))
        for other in others
        for key in here[0] | other
        if len({each.get(key) for each in here}) == 1 and other.get(key) != here[0].get(key)
    }
    if not differing:
        return ""
    number = len(others)
    listed = ", ".join(f"{key} {before}, here {now}" for key, (before, now) in list(differing.items())[:NUM_LISTED])
    return f"{directory.path} also holds {number} job{'s' * (number > 1)} of other settings: {listed}"


def _by_key(overrides: Sequence[str]) -> dict[str, str]:
    """Return the value of each key, without those that say what the command does."""
    pairs = (override.lstrip("+").partition("=") for override in overrides)
    return {key: value for key, _, value in pairs if not {key, key.partition(".")[0]} & {*RUN_ONLY, "hydra"}}


def modules_of_tasks(jobs: Iterable[Job]) -> list[str]:
    """Return the user's modules that define the tasks of jobs, whose config is the user's own."""
    targets = dict.fromkeys(str(job.config["task"]["_target_"]) for job in jobs)
    return [target.rpartition(".")[0] for target in targets if not target.startswith(OWN_PACKAGES)]


def start_report(sweep: Path, trust: Sequence[str] = ()) -> None:
    """Write the report of a sweep in a separate process, so that its imports and errors do not affect the sweep.

    Args:
        sweep: the directory of the sweep.
        trust: modules of the user with rows of tasks.
    """
    trusted = [f"--trust={module}" for module in trust]
    command = [sys.executable, "-m", "rnnexp.report", str(sweep), *trusted]
    try:
        subprocess.run(command, check=False, timeout=REPORT_SECONDS)  # noqa: S603 (a fixed command)
    except (OSError, subprocess.TimeoutExpired) as error:
        print(
            f"rnnexp: warning: no report: {error}; write it with  {shlex.join(['python', *command[1:]])}",
            file=sys.stderr,
        )


@contextmanager
def _resume_hint(progress: SweepProgress, path: Path) -> Iterator[None]:
    """Print how to continue the sweep if a signal interrupts the block."""
    try:
        yield
    except (KeyboardInterrupt, InterruptedRunError):
        progress.say(f"continue with the same command and {quote_override('sweep_dir', path)}")
        raise
