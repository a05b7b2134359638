"""The callable with which submitit runs a job, the executor, and the reason for which a job ended.

submitit reads pickles from its folder, so each submission has a new one that only this user can write to. The result of
a call is a pickle as well, and nothing reads it: the end of a job is in its run directory.
"""

import os
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import Any

import submitit

from rnnexp.compat.submitit import UncompletedJobError
from rnnexp.core.errors import UserError, first_line
from rnnexp.core.files.directory_lock import Holder
from rnnexp.core.signals import GRACE_SECONDS
from rnnexp.core.validation import expand_home
from rnnexp.sweeps.backends.base import Ended
from rnnexp.sweeps.backends.slurm_record import claim
from rnnexp.sweeps.process.command import JobCommand, stop_process
from rnnexp.sweeps.process.group import kill_group
from rnnexp.sweeps.process.watchdog import POLL_SECONDS
from rnnexp.tracking.status import Status, may_be_transient

UNFINISHED = (Status.QUEUED, Status.RUNNING, Status.INTERRUPTED)
"""Statuses of a run that a scheduler may continue."""


class SubmititTask:
    """A callable that submitit pickles, and calls on the machine of the job.

    Args:
        command: the command of the job.
        grace_seconds: the time that a job has to save when submitit stops it.
        sweep: the process of the sweep's command, with which the job ends, as with submitit's controller; None lets the
            job continue without it.
        submission: the submission that the record of SLURM in the run directory must name; None if there is no record.
    """

    def __init__(
        self,
        command: JobCommand,
        grace_seconds: float,
        sweep: Holder | None = None,
        submission: str | None = None,
    ) -> None:
        self.command, self.grace_seconds = command, grace_seconds
        self.sweep, self.submission = sweep, submission
        self._process: subprocess.Popen[bytes] | None = None
        self._stop_requested_at: float | None = None

    def __call__(self) -> None:
        """Run the job, and record how it ended if it did not.

        After SIGTERM on SLURM the job saves its state, but this call does not return, since a result would mark the job
        as complete. SIGUSR2 then requeues it (see `checkpoint`), or SIGKILL ends it, unless SLURM starts it again.
        """
        environment = submitit.JobEnvironment()
        # Remove the result of an earlier attempt: with it the job counts as complete.
        environment.paths.result_pickle.unlink(missing_ok=True)
        if self.submission is not None:
            claim(self.command.run, self.submission, environment.job_id)
        try:
            self._process = self.command.start()
            # submitit ignores SIGTERM, which scancel sends first. A job that receives it can save.
            signal.signal(signal.SIGTERM, self._request_stop)
            while self._process.poll() is None:
                time.sleep(POLL_SECONDS)
                # The number of a local job is that of its controller.
                if self.sweep is not None and (self.sweep.is_gone or os.getppid() != int(environment.job_id)):
                    self._request_stop()
                if self._stop_requested_at is not None and time.monotonic() - self._stop_requested_at > GRACE_SECONDS:
                    self._process.kill()
            while self._waits_for_scheduler:
                time.sleep(POLL_SECONDS)
        except (UncompletedJobError, subprocess.SubprocessError, OSError) as error:
            # The job could not start. Or submitit's signal handler raises these here, after `checkpoint`, if the job is
            # not requeued: it was requeued too often, or `scontrol requeue` failed.
            if self.command.run.status is Status.QUEUED:
                status = Status.FAILED if self._process is None else Status.INTERRUPTED
                self.command.run.end(status, str(error), may_be_transient(error))
            raise
        finally:
            kill_group(None if self._process is None else self._process.pid)
        if environment.global_rank == 0:
            self._record_end(Ended.with_code(self._process.returncode))

    def _record_end(self, ended: Ended) -> None:
        if self.command.run.has_no_end:
            status = ended.status if self._stop_requested_at is None else Status.INTERRUPTED
            self.command.run.end(status, ended.reason, ended.is_transient)

    @property
    def _waits_for_scheduler(self) -> bool:
        """Whether a job that was asked to stop may still be requeued or killed."""
        return self.sweep is None and self._stop_requested_at is not None and self.command.run.status in UNFINISHED

    def checkpoint(self) -> submitit.helpers.DelayedSubmission | None:
        """Return the task that continues the job, or None if it is complete. submitit calls it to stop the job."""
        if self._process is not None:
            stop_process(self._process, self.grace_seconds)
            if self.command.run.status not in UNFINISHED:
                return None
        self.command.run.set_status(Status.QUEUED, "stopped by the scheduler, to be continued")
        return submitit.helpers.DelayedSubmission(
            SubmititTask(self.command, self.grace_seconds, self.sweep, self.submission)
        )

    def _request_stop(self, number: int = signal.SIGTERM, frame: FrameType | None = None) -> None:  # noqa: ARG002
        if self._stop_requested_at is None and self._process is not None:
            self._stop_requested_at = time.monotonic()
            self._process.terminate()


def make_executor(
    cluster: str, folder: Path, settings: Mapping[str, Any], parameters: Mapping[str, Any]
) -> submitit.AutoExecutor:
    """Return an executor of submitit with a new folder.

    Args:
        cluster: `local` or `slurm`.
        folder: the folder, see `submitit_folder`.
        settings: the fields of the launcher's config.
        parameters: the parameters of the executor.

    Raises:
        UserError: for parameters that submitit does not accept, and if the folder cannot be made.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        folder.mkdir(mode=0o700)
    except OSError as error:
        raise UserError(f"hydra.launcher.submitit_folder: {folder} cannot be made: {error.strerror}") from None
    executor = submitit.AutoExecutor(folder, cluster, **{f"{cluster}_max_num_timeout": settings["max_num_timeout"]})
    try:
        executor.update_parameters(**parameters)
    except (AssertionError, NameError, ValueError) as error:
        raise UserError(f"hydra.launcher: {first_line(error)}") from None
    return executor


def submitit_folder(settings: Mapping[str, Any], submission: str) -> Path:
    """Return the absolute path of the folder with submitit's own files of a submission."""
    return expand_home(settings["submitit_folder"]).absolute() / submission


def end_of_submitit_job(handle: submitit.Job[None], reason: str) -> Ended:
    """Return how a job ended that may have recorded no end.

    Args:
        handle: submitit's handle of the job.
        reason: the reason if its task was killed.
    """
    if handle.paths.result_pickle.exists():
        reason = "the call of submitit failed"
    return Ended(f"{reason}; its logs are {handle.paths.stdout.with_suffix('.*')}")
