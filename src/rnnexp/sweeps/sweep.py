"""A sweep from points of a grid to finished runs, whatever engine runs them: composed once, continued, reported."""

import shlex
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from hydra.core.config_loader import ConfigLoader
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

import rnnexp
from rnnexp.core.atomic_files import read_json
from rnnexp.core.errors import InterruptedRunError, SweepFailedError, UserError
from rnnexp.core.validation import did_you_mean, quote_override
from rnnexp.loggers.wandb_sync import sync_command
from rnnexp.sweeps.backends.base import Engine
from rnnexp.sweeps.jobs import Job, compose_jobs, load_statuses, prepare
from rnnexp.sweeps.progress import SweepProgress
from rnnexp.tracking.environment import git_state
from rnnexp.tracking.sweep_directory import SweepDirectory


@dataclass
class Outcome(JobReturn):
    """Of one job. Who asks for the value of one without a value gets the error that says why, and that alone."""

    run_status: str = ""
    """of its run directory, or `waiting` if it has not begun"""

    @property
    def return_value(self) -> Any:  # noqa: ANN401
        if isinstance(self._return_value, Exception):
            raise self._return_value
        return self._return_value

    @return_value.setter
    def return_value(self, value: Any) -> None:  # noqa: ANN401
        self._return_value = value


class Sweep:
    """Runs what a sweeper asks for, in one sweep directory.

    Args:
        config: of the multirun as a whole: `sweep_dir`, `dry_run`, `allow_code_change`, `report`,
            `optimized_metric`, and Hydra's own.
        loader: composes the configs of the jobs.
        engine: runs them.

    Raises:
        UserError: if the sweep directory is not this sweep's, or in use, or its jobs ran on other code
            without `allow_code_change`.
    """

    def __init__(self, config: DictConfig, loader: ConfigLoader, engine: Engine[Any]) -> None:
        self.config, self.loader, self.engine = config, loader, engine
        self.config.sweep_dir = str(Path(config.sweep_dir).expanduser().absolute())
        self.name = str(config.hydra.job.config_name)
        self.code = git_state(Path(rnnexp.__file__).parent)
        self.jobs: list[Job] = []
        if config.dry_run:
            self.directory = SweepDirectory(Path(config.sweep_dir))
            self.directory.forget_multirun()
        else:
            self.directory = SweepDirectory.open(Path(config.sweep_dir), self.name)
        if not config.allow_code_change:
            self.directory.require_code(self.code)

    def check(self, points: Sequence[Sequence[str]]) -> list[dict[str, Any]]:
        """The configs of the jobs of these points. Nothing is changed.

        Raises:
            UserError: if one cannot be composed, or can never run here.
        """
        jobs = self._compose(points)
        self.engine.validate_jobs(jobs)
        return [job.config for job in jobs]

    def launch(self, points: Sequence[Sequence[str]]) -> list[Outcome]:
        """Runs the jobs of these points of the grid, except those that are done.

        Args:
            points: the overrides of each.

        Returns:
            For each point its job's `optimized_metric`, None where nothing is optimized or a job diverged, say. The
            value of a job that failed raises SweepFailedError, which tells of all that failed, and UserError that of
            one which did not measure the `optimized_metric`.

        Raises:
            UserError: before anything runs, if a job cannot be composed or needs more GPUs than there are.
            KeyboardInterrupt, InterruptedRunError: after all children have stopped.
        """
        if not points:
            raise UserError("the grid is empty: give an axis some values, model=srn,gru")
        if not self.config.dry_run:
            self.engine.preload()
        jobs = self._compose(points)
        self.engine.validate_jobs(jobs)
        self.engine.reattach(jobs)
        distinct = _distinct(jobs)
        if self.config.dry_run:
            self.engine.dry_run_report(distinct)
            return []
        self.jobs = _distinct([*self.jobs, *jobs])
        command = shlex.join(["python", *sys.orig_argv[1:]])
        self.directory.write_record(self.name, command, self.code, [job.run.path.name for job in self.jobs])
        wanted = [job for job in distinct if not job.is_final]
        with SweepProgress(distinct) as progress:
            for job in wanted:
                if not job.is_under_way:
                    prepare(job, self.code)
            number = len(distinct)
            progress.say(f"{number} job{'s' * (number > 1)}, {len(wanted)} to run, in {self.directory.path}")
            with _sigterm_raises(), _told_how_to_continue(progress, self.directory.path):
                self.engine.run(wanted, progress)
            progress.say(progress.summary())
            if upload := sync_command(self.directory.path):
                progress.say(f"W&B: upload these runs with  {upload}")
        if self.config.report:
            write_report(self.directory.path)
        return [self._outcome(job) for job in jobs]

    def _compose(self, points: Sequence[Sequence[str]]) -> list[Job]:
        jobs = compose_jobs(self.loader, self.config, points, self.directory, self.engine.num_gpus)
        load_statuses(jobs)
        return jobs

    def _outcome(self, job: Job) -> Outcome:
        failed = job.status in ("failed", "interrupted")
        return Outcome(
            overrides=job.typed,
            working_dir=str(job.run.path),
            status=JobStatus.FAILED if failed else JobStatus.COMPLETED,
            _return_value=self._failure() if failed else self._optimized(job),
            run_status=job.status,
        )

    def _optimized(self, job: Job) -> float | UserError | None:
        name = self.config.optimized_metric
        if name is None or job.status != "done":
            return None
        metrics: dict[str, float | None] = read_json(job.run.result_file)["metrics"]
        if name not in metrics:
            return UserError(
                f"optimized_metric={name} is not measured: {job.run.path} has {', '.join(sorted(metrics))}"
                f"{did_you_mean(name, metrics)}"
            )
        return metrics[name]

    def _failure(self) -> SweepFailedError:
        counts = Counter(job.status for job in self.jobs)
        told = " and ".join(f"{counts[status]} {status}" for status in ("failed", "interrupted") if counts[status])
        return SweepFailedError(
            f"{told} of {len(self.jobs)} jobs, see output.log in {self.directory.jobs}; the same command with "
            f"{quote_override('sweep_dir', self.directory.path)} runs these again"
        )


def write_report(sweep: Path) -> None:
    """In a process of its own: what it imports, and what goes wrong in it, is no part of the sweep."""
    subprocess.run([sys.executable, "-m", "rnnexp.report", str(sweep)], check=False)  # noqa: S603 (our own)


def _distinct(jobs: Sequence[Job]) -> list[Job]:
    return list({id(job): job for job in jobs}.values())


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
        progress.say(f"continue with the same command and {quote_override('sweep_dir', path)}")
        raise
