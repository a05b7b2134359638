"""The jobs of a sweep, their status in the run directory, and the reasons for which they ended."""

import shutil
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnexp.core.errors import UserError
from rnnexp.sweeps.devices import ResourceRequest
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.status import Status

OVERHEAD_SIZE = 128
"""The hidden size at which the matrix products of a layer take about as long as the rest of a training step."""


@dataclass(eq=False)
class Job:
    """One point of a sweep.

    Args:
        label: the name of the job in tables and lines: the overrides that differ between the points.
        overrides: all overrides of the point, as given on the command line.
        config: the resolved config.
        run: the run directory.
        request: the devices that the job needs.
        status: the status in the run directory; `new` without one, `waiting` once the job is prepared to run.
        resumes: whether the job continues from the last checkpoint in its directory.
        is_transient: whether the reason for which it ended may have passed when it starts again.
        num_retries: how often this command has started it again.
    """

    label: str
    overrides: list[str]
    config: Mapping[str, Any]
    run: RunDirectory
    request: ResourceRequest
    status: Status = Status.NEW
    resumes: bool = False
    is_transient: bool = False
    num_retries: int = 0

    @property
    def cost(self) -> float:
        """A relative estimate of the job's time, without a unit, for the order of jobs and the time left."""
        model, trainer = self.config["model"], self.config["trainer"]
        layers = model.get("num_layers", 1) * (2 if model.get("bidirectional") else 1)
        share = trainer.get("limit_train_batches")
        epochs = max(trainer.get("max_epochs") or 1, 1) * (share if isinstance(share, float) else 1.0)
        return float(epochs * layers * (model.get("hidden_size", 0) ** 2 + OVERHEAD_SIZE**2))


def load_statuses(jobs: Sequence[Job]) -> None:
    """Set `status` and `resumes` of each job from its run directory.

    Raises:
        UserError: if a status cannot be read.
    """
    for job in jobs:
        if not job.run.status_file.exists():
            continue
        try:
            status = job.run.status
        except UserError as error:
            raise UserError(f"{error}; remove {job.run.path} to run that job again") from None
        # This process holds the lock of the sweep, so the process that ran the job has ended. Only SLURM may still run
        # it; the backend of SLURM checks that.
        job.status = Status.INTERRUPTED if status.is_live else status
        job.resumes = not job.status.is_final and job.run.last_checkpoint.exists()


def require_gpus(jobs: Sequence[Job], num_gpus: int) -> None:
    """Raise UserError for a job that needs more than `num_gpus` GPUs."""
    for job in jobs:
        if job.request.gpus > num_gpus:
            raise UserError(f"{job.label}: needs {job.request.gpus} GPUs, and there are {num_gpus}")


def prepare(job: Job, code: Mapping[str, Any]) -> None:
    """Prepare the run directory for a new or a continued run. Files of a failed attempt are removed.

    Args:
        job: the job; its status becomes `waiting`.
        code: the version of the code, see `rnnexp.tracking.environment.git_state`.
    """
    job.status = Status.WAITING
    attempt = job.run.next_attempt
    if job.resumes:
        # The config may name another logger than before.
        job.run.write_config(job.config, job.overrides)
        job.run.set_status(Status.QUEUED, "to be continued")
        job.run.record_attempt(attempt)
        return
    if job.run.path.exists():
        for entry in job.run.path.iterdir():
            if entry == job.run.output_file:
                continue
            if entry.is_dir():
                shutil.rmtree(entry)
            else:
                entry.unlink()
    job.run.path.mkdir(parents=True, exist_ok=True)
    job.run.freeze(job.config, job.overrides, code, attempt)


def finalize(
    job: Job, reason: str, status: Status = Status.FAILED, stop_reason: str = "", is_transient: bool = True
) -> str:
    """Set status and `is_transient` of a job whose process has ended, and record the end if the job did not.

    Args:
        job: the job.
        reason: the reason to record if the job recorded no end.
        status: the status to record if the job recorded no end.
        stop_reason: the reason for which the sweep stopped the job; it is recorded with `status` in place of
            `interrupted by SIGTERM`.
        is_transient: whether `reason` or `stop_reason` may have passed when the job starts again.

    Returns:
        The reason for the status.
    """
    try:
        record = job.run.read_status()
        job.status, recorded_reason = job.run.status, str(record["reason"])
        job.is_transient = record.get("transient") is True
        if job.status.is_live or (stop_reason and job.status is Status.INTERRUPTED):
            job.status, recorded_reason, job.is_transient = status, stop_reason or reason, is_transient
            job.run.end(job.status, recorded_reason, is_transient)
    except (OSError, UserError) as error:
        # The disk may be full. The sweep continues, since other jobs may write to another disk.
        job.status, job.is_transient = Status.FAILED, False
        recorded_reason = f"{reason}, and its status could not be recorded ({error})"
    return recorded_reason


def exit_reason(code: int | None) -> str:
    """Return the reason for which a process with that exit code ended, for a job that recorded no end."""
    if code is None:
        return "no exit status received"
    if code == -signal.SIGKILL:
        return "killed by SIGKILL (possibly out of memory)"
    if code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code} and recorded no status"
