"""A job as submitit pickles it, calls it on the machine that it was given, and tells how it ended."""

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

from rnnexp.core.errors import UserError
from rnnexp.sweeps.jobs import exit_reason
from rnnexp.sweeps.process.command import SECONDS_BETWEEN_LOOKS, JobCommand, end
from rnnexp.sweeps.process.watchdog import GRACE_SECONDS
from rnnexp.tracking.status import Status

UNFINISHED = ("queued", "running", "interrupted")


class SubmittedJob:
    """What submitit pickles and calls on the machine that the job was given.

    Args:
        command: of the job.
        grace_seconds: that a job has to save when submitit says that it must stop.
        watchdog: a lock that the sweep's command holds as long as it lives; None lets the job outlive the command.
    """

    def __init__(self, command: JobCommand, grace_seconds: float, watchdog: Path | None = None) -> None:
        self.command, self.grace_seconds, self.watchdog = command, grace_seconds, watchdog
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: float | None = None

    def __call__(self) -> int:
        """Runs the job. Returns its exit code.

        On SLURM a job that got SIGTERM saves, but does not return: a result would say that nothing follows. SIGUSR2
        puts it back into the queue (`checkpoint`); SIGKILL ends it, or is followed by SLURM's starting it again.
        """
        # Of an attempt before this one.
        submitit.JobEnvironment().paths.result_pickle.unlink(missing_ok=True)
        self._process = self.command.start()
        # In place of submitit's, which lets it pass: scancel begins with it, and a job that knows can save.
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        try:
            while self._process.poll() is None:
                time.sleep(SECONDS_BETWEEN_LOOKS)
                if self.watchdog is not None and not _is_held(self.watchdog):
                    self._ask_to_stop()
                if self._asked is not None and time.monotonic() - self._asked > GRACE_SECONDS:
                    self._process.kill()
            while self.watchdog is None and self._asked is not None and self.command.run.status in UNFINISHED:
                time.sleep(SECONDS_BETWEEN_LOOKS)
        except (UncompletedJobError, subprocess.SubprocessError, OSError) as error:
            # Raised here by submitit's handler of signals, after `checkpoint`: the job does not go on by itself. It has
            # done so too often, or `scontrol requeue` fails.
            if self.command.run.status == "queued":
                self.command.run.end(Status.INTERRUPTED, str(error))
            raise
        return int(self._process.returncode)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission | None:
        """Called by submitit when the job must make way: what is to run when its turn comes again, if anything."""
        run = self.command.run
        if self._process is not None:
            end(self._process, self.grace_seconds)
            if run.status not in UNFINISHED:
                return None
        run.set_status(Status.QUEUED, "stopped by the scheduler, to be continued")
        return submitit.helpers.DelayedSubmission(SubmittedJob(self.command, self.grace_seconds, self.watchdog))

    def _ask_to_stop(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:  # noqa: ARG002
        if self._asked is None and self._process is not None:
            self._asked = time.monotonic()
            self._process.terminate()


def _is_held(path: Path) -> bool:
    # Not the number of the process: it still stands for one that is dead, until somebody has asked how it died.
    try:
        with FileLock(path, timeout=0):
            return False
    except Timeout:
        return True


def make_executor(cluster: str, settings: Mapping[str, Any], parameters: Mapping[str, Any]) -> submitit.AutoExecutor:
    """Raises UserError for parameters that submitit refuses."""
    executor = submitit.AutoExecutor(
        folder_of(settings), cluster, **{f"{cluster}_max_num_timeout": settings["max_num_timeout"]}
    )
    try:
        executor.update_parameters(**parameters)
    except (AssertionError, NameError, ValueError) as error:
        raise UserError(f"hydra.launcher: {str(error).splitlines()[0]}") from None
    return executor


def folder_of(settings: Mapping[str, Any]) -> Path:
    return Path(settings["submitit_folder"]).expanduser().absolute()


def told_by_submitit(handle: submitit.Job[int], otherwise: str) -> str:
    """What is known of a job that has ended: its exit code, its error, or else what somebody else says."""
    if not handle.paths.result_pickle.exists():
        return otherwise
    error = handle.exception()
    if error is None:
        # One for each of its tasks.
        return exit_reason(next((code for code in handle.results() if code), 0))
    lines = [line for line in str(error).splitlines() if re.match(r"\S*(Error|Exception)\b", line)]
    return lines[-1] if lines else str(error).splitlines()[0]
