"""The callable with which submitit runs a job, the executor, and the reason for which a job ended."""

import re
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import submitit
from filelock import FileLock, Timeout

from rnnexp.compat.submitit import UncompletedJobError
from rnnexp.core.errors import UserError, first_line
from rnnexp.core.signals import GRACE_SECONDS
from rnnexp.core.validation import expand_home
from rnnexp.sweeps.backends.base import Ended
from rnnexp.sweeps.backends.slurm_record import claim
from rnnexp.sweeps.process.command import JobCommand, stop_process
from rnnexp.sweeps.process.group import kill_group
from rnnexp.sweeps.process.watchdog import POLL_SECONDS
from rnnexp.tracking.status import Status

UNFINISHED = (Status.QUEUED, Status.RUNNING, Status.INTERRUPTED)
"""Statuses of a run that a scheduler may continue."""


class SubmititTask:
    """A callable that submitit pickles, and calls on the machine of the job.

    Args:
        command: the command of the job.
        grace_seconds: the time that a job has to save when submitit stops it.
        sweep_lock: a file lock that the sweep's command holds while it runs; None lets the job continue without it.
        submission: the submission that the record of SLURM in the run directory must name; None if there is no record.
    """

    def __init__(
        self,
        command: JobCommand,
        grace_seconds: float,
        sweep_lock: Path | None = None,
        submission: str | None = None,
    ) -> None:
        self.command, self.grace_seconds = command, grace_seconds
        self.sweep_lock, self.submission = sweep_lock, submission
        self._process: subprocess.Popen[bytes] | None = None
        self._stop_requested_at: float | None = None

    def __call__(self) -> int:
        """Run the job, and return its exit code.

        After SIGTERM on SLURM the job saves its state, but this call does not return, since a result would mark the job
        as complete. SIGUSR2 then requeues it (see `checkpoint`), or SIGKILL ends it, unless SLURM starts it again.
        """
        environment = submitit.JobEnvironment()
        # Remove the result of an earlier attempt.
        environment.paths.result_pickle.unlink(missing_ok=True)
        if self.submission is not None:
            claim(self.command.run, self.submission, environment.job_id)
        self._process = self.command.start()
        # submitit ignores SIGTERM, which scancel sends first. A job that receives it can save.
        signal.signal(signal.SIGTERM, self._request_stop)
        try:
            while self._process.poll() is None:
                time.sleep(POLL_SECONDS)
                if self.sweep_lock is not None and not _is_held(self.sweep_lock):
                    self._request_stop()
                if self._stop_requested_at is not None and time.monotonic() - self._stop_requested_at > GRACE_SECONDS:
                    self._process.kill()
            while self._waits_for_scheduler:
                time.sleep(POLL_SECONDS)
        except (UncompletedJobError, subprocess.SubprocessError, OSError) as error:
            # submitit's signal handler raises these here, after `checkpoint`, if the job is not requeued: it was
            # requeued too often, or `scontrol requeue` failed.
            if self.command.run.status is Status.QUEUED:
                self.command.run.end(Status.INTERRUPTED, str(error))
            raise
        finally:
            kill_group(self._process.pid)
        return int(self._process.returncode)

    @property
    def _waits_for_scheduler(self) -> bool:
        """Whether a job that was asked to stop may still be requeued or killed."""
        return self.sweep_lock is None and self._stop_requested_at is not None and self.command.run.status in UNFINISHED

    def checkpoint(self) -> submitit.helpers.DelayedSubmission | None:
        """Return the task that continues the job, or None if it is complete. submitit calls it to stop the job."""
        if self._process is not None:
            stop_process(self._process, self.grace_seconds)
            if self.command.run.status not in UNFINISHED:
                return None
        self.command.run.set_status(Status.QUEUED, "stopped by the scheduler, to be continued")
        return submitit.helpers.DelayedSubmission(
            SubmititTask(self.command, self.grace_seconds, self.sweep_lock, self.submission)
        )

    def _request_stop(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:  # noqa: ARG002
        if self._stop_requested_at is None and self._process is not None:
            self._stop_requested_at = time.monotonic()
            self._process.terminate()


def _is_held(path: Path) -> bool:
    # A process id would not work: it exists until the parent of an ended process has read its exit status.
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def make_executor(cluster: str, settings: Mapping[str, Any], parameters: Mapping[str, Any]) -> submitit.AutoExecutor:
    """Return an executor of submitit.

    Args:
        cluster: `local` or `slurm`.
        settings: the fields of the launcher's config.
        parameters: the parameters of the executor.

    Raises:
        UserError: for parameters that submitit does not accept.
    """
    executor = submitit.AutoExecutor(
        submitit_folder(settings), cluster, **{f"{cluster}_max_num_timeout": settings["max_num_timeout"]}
    )
    try:
        executor.update_parameters(**parameters)
    except (AssertionError, NameError, ValueError) as error:
        raise UserError(f"hydra.launcher: {first_line(error)}") from None
    return executor


def submitit_folder(settings: Mapping[str, Any]) -> Path:
    """Return the absolute path of the folder with submitit's own files."""
    return expand_home(settings["submitit_folder"]).absolute()


def end_of_submitit_job(handle: submitit.Job[int], default: str) -> Ended:
    """Return how a job ended: its exit code or its error, or `default` if submitit has neither."""
    if not handle.paths.result_pickle.exists():
        return Ended(default)
    error = handle.exception()
    if error is None:
        # One result for each task of the job.
        return Ended.with_code(next((code for code in handle.results() if code), 0))
    lines = [line for line in str(error).split("\n") if re.match(r"\S*(Error|Exception)\b", line)]
    return Ended(lines[-1] if lines else first_line(error))
