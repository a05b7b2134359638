"""The callable of a job that submitit pickles and calls on another machine, and what submitit tells of its end."""

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
from submitit.core.utils import UncompletedJobError

from rnnexp.core.errors import UserError, first_line
from rnnexp.core.signals import GRACE_SECONDS
from rnnexp.sweeps.jobs import exit_reason
from rnnexp.sweeps.process.command import JobCommand, stop_process
from rnnexp.sweeps.process.watchdog import POLL_SECONDS
from rnnexp.tracking.status import Status

UNFINISHED = (Status.QUEUED, Status.RUNNING, Status.INTERRUPTED)
"""Statuses of a run that a scheduler may continue."""


class SubmititTask:
    """A callable that submitit pickles, and calls on the machine that the job was given.

    Args:
        command: the command of the job.
        grace_seconds: the time that a job has to save when submitit says that it must stop.
        watchdog: a file lock that the sweep's command holds while it lives; None lets the job outlive the command.
    """

    def __init__(self, command: JobCommand, grace_seconds: float, watchdog: Path | None = None) -> None:
        self.command, self.grace_seconds, self.watchdog = command, grace_seconds, watchdog
        self._process: subprocess.Popen[bytes] | None = None
        self._stop_requested_at: float | None = None

    def __call__(self) -> int:
        """Run the job, and return its exit code.

        On SLURM a job that got SIGTERM saves but does not return, since a result would tell that nothing follows.
        SIGUSR2 puts it back into the queue (see `checkpoint`). SIGKILL ends it, unless SLURM starts it again.
        """
        # A result of an earlier attempt.
        submitit.JobEnvironment().paths.result_pickle.unlink(missing_ok=True)
        self._process = self.command.start()
        # submitit ignores SIGTERM. scancel sends it first, and a job that gets it can save.
        signal.signal(signal.SIGTERM, self._request_stop)
        try:
            while self._process.poll() is None:
                time.sleep(POLL_SECONDS)
                if self.watchdog is not None and not _is_held(self.watchdog):
                    self._request_stop()
                if self._stop_requested_at is not None and time.monotonic() - self._stop_requested_at > GRACE_SECONDS:
                    self._process.kill()
            while self._waits_for_scheduler:
                time.sleep(POLL_SECONDS)
        except (UncompletedJobError, subprocess.SubprocessError, OSError) as error:
            # submitit's signal handler raises these here, after `checkpoint`, if the job is not put back into the
            # queue: it was too often, or `scontrol requeue` fails.
            if self.command.run.status is Status.QUEUED:
                self.command.run.end(Status.INTERRUPTED, str(error))
            raise
        return int(self._process.returncode)

    @property
    def _waits_for_scheduler(self) -> bool:
        """Whether a job that was asked to stop may still be put back into the queue or be killed."""
        return self.watchdog is None and self._stop_requested_at is not None and self.command.run.status in UNFINISHED

    def checkpoint(self) -> submitit.helpers.DelayedSubmission | None:
        """Return what runs when the job's turn comes again, if anything. submitit calls it when the job must stop."""
        if self._process is not None:
            stop_process(self._process, self.grace_seconds)
            if self.command.run.status not in UNFINISHED:
                return None
        self.command.run.set_status(Status.QUEUED, "stopped by the scheduler, to be continued")
        return submitit.helpers.DelayedSubmission(SubmititTask(self.command, self.grace_seconds, self.watchdog))

    def _request_stop(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:  # noqa: ARG002
        if self._stop_requested_at is None and self._process is not None:
            self._stop_requested_at = time.monotonic()
            self._process.terminate()


def _is_held(path: Path) -> bool:
    # A process id would not do: it exists until the parent of a dead process has read its exit status.
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def make_executor(cluster: str, settings: Mapping[str, Any], parameters: Mapping[str, Any]) -> submitit.AutoExecutor:
    """Return submitit's executor.

    Args:
        cluster: `local` or `slurm`.
        settings: the fields of the launcher's config.
        parameters: of submitit.

    Raises:
        UserError: for parameters that submitit refuses.
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
    return Path(settings["submitit_folder"]).expanduser().absolute()


def submitit_exit_reason(handle: submitit.Job[int], otherwise: str) -> str:
    """Return how a job ended: its exit code or its error, or `otherwise` if submitit has neither."""
    if not handle.paths.result_pickle.exists():
        return otherwise
    error = handle.exception()
    if error is None:
        # One result for each task of the job.
        return exit_reason(next((code for code in handle.results() if code), 0))
    lines = [line for line in str(error).split("\n") if re.match(r"\S*(Error|Exception)\b", line)]
    return lines[-1] if lines else first_line(error)
