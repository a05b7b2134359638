"""The jobs of a sweep, their status in the run directory, and the reasons for which they ended."""

import os
import signal
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import put_aside
from rnnexp.core.files.directory_lock import Holder, observe_lock
from rnnexp.core.signals import GRACE_SECONDS
from rnnexp.runs.frozen.last_checkpoint import put_damaged_checkpoints_aside, resumable_checkpoint
from rnnexp.sweeps.devices import ResourceRequest
from rnnexp.tasks.inference_record import is_number
from rnnexp.tracking.identity import config_hash
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
        layers = _number(model.get("num_layers"), 1) * (2 if model.get("bidirectional") else 1)
        share = trainer.get("limit_train_batches")
        epochs = max(_number(trainer.get("max_epochs"), 1), 1) * (share if isinstance(share, float) else 1.0)
        # A budget may solve the size when the job starts.
        return float(epochs * layers * (_number(model.get("hidden_size"), 0) ** 2 + OVERHEAD_SIZE**2))


def _number(value: Any, default: int) -> float:  # noqa: ANN401 (a value of a config)
    return value if is_number(value) else default


def load_statuses(jobs: Sequence[Job]) -> None:
    """Set `status` and `resumes` of each job from its run directory.

    A job that is not final continues from its last readable checkpoint, whatever ended it. One whose files are damaged
    is `unreadable`, and runs again. So is one whose directory holds a run of another config, see `prepare`. A run that
    the pruner of another study ended continues.
    """
    for job in jobs:
        if job.run.status_file.exists():
            status = Status.UNREADABLE if _other_config(job) else job.run.status
            # This process holds the lock of the sweep, so the process that ran the job has ended or will end. Only
            # SLURM may still run it; the backend of SLURM checks that.
            job.status = Status.INTERRUPTED if status.is_live or _is_pruned_elsewhere(job, status) else status
        job.resumes = not job.status.is_final and resumable_checkpoint(job.run) is not None


def _is_pruned_elsewhere(job: Job, status: Status) -> bool:
    """Return whether the pruner of another study, or one that this job has not, ended the run."""
    if status is not Status.PRUNED:
        return False
    try:
        return _study_of(job.run.read_config()) != _study_of(job.config)
    except UserError:
        return False


def _study_of(config: Mapping[str, Any]) -> tuple[Any, ...]:
    pruning = (config.get("callbacks") or {}).get("pruning") or {}
    return pruning.get("storage"), pruning.get("study_name")


def _other_config(job: Job) -> str:
    """Return the `config_hash` of the run in the directory of a job if it has another config, else an empty string."""
    try:
        recorded = job.run.read_status().get("config_hash")
    except UserError:
        return ""
    return str(recorded) if recorded and recorded != config_hash(job.config) else ""


def require_gpus(jobs: Sequence[Job], num_gpus: int) -> None:
    """Raise UserError for a job that needs more than `num_gpus` GPUs."""
    for job in jobs:
        if job.request.gpus > num_gpus:
            raise UserError(f"{job.label}: needs {job.request.gpus} GPUs, and there are {num_gpus}")


def prepare(job: Job, code: Mapping[str, Any]) -> None:
    """Prepare the run directory for a new or a continued run. What is damaged is put aside.

    Args:
        job: the job; its status becomes `waiting`, and `resumes` says whether a readable checkpoint is there.
        code: the version of the code, see `rnnexp.tracking.environment.git_state`.

    Raises:
        UserError: if the directory or a part of it is a link to elsewhere or holds a run of another config, or another
            process writes to it.
    """
    run = job.run
    if run.path.is_symlink():
        raise UserError(f"{run.path} is a symbolic link: put the directory in its place, or remove the link")
    if other := _other_config(job):
        # Somebody has copied or moved it there. Its results and checkpoints are not those of the job.
        raise UserError(f"{run.path} holds a run of another config ({other}): move it out of the sweep directory")
    if run.path.exists() and not run.path.is_dir():
        put_aside(run.path)
    run.path.mkdir(parents=True, exist_ok=True)
    with run.locked():
        attempt = run.next_attempt
        run.remove_leftovers()
        job.resumes = put_damaged_checkpoints_aside(run) is not None
        if not job.resumes:
            run.clear()
        run.require_own_files()
        # The config of a job that continues may name another logger than before.
        run.freeze(job.config, job.overrides, code, attempt, "to be continued" if job.resumes else "")
    job.status = Status.WAITING


def prepare_all(
    jobs: Sequence[Job],
    code: Mapping[str, Any],
    say: Callable[[str], None],
    tick: Callable[[], None] = lambda: None,
) -> list[Job]:
    """Prepare the jobs that are not final, and return those that can run. The others have failed.

    Args:
        jobs: the jobs of a sweep, except those that SLURM runs.
        code: see `prepare`.
        say: prints a line.
        tick: called after each job.
    """
    unfinished = [job for job in jobs if not job.status.is_final]
    end_orphans(unfinished, say)
    ready = []
    for job in jobs:
        try:
            if job in unfinished:
                prepare(job, code)
                ready.append(job)
            else:
                job.run.restore_config(job.config, job.overrides)
        except (OSError, UserError) as error:
            # The other jobs may be on another disk, and a process of somebody else may be in the way of this one.
            if job in unfinished:
                job.status = Status.FAILED
            say(f"failed {job.label}: {error}")
        tick()
    return ready


def end_orphans(jobs: Sequence[Job], say: Callable[[str], None]) -> None:
    """Wait for the processes that still write to the directories of jobs, and kill those that do not end.

    This process holds the lock of the sweep, so the sweep that started them has ended. They notice that, save and end,
    unless they are stopped. A process that somebody else started is not killed.

    Args:
        jobs: the jobs.
        say: prints a line.
    """
    deadline = time.monotonic() + GRACE_SECONDS + 5
    is_said = False
    while holders := _holders(jobs):
        is_late = time.monotonic() > deadline
        for holder in holders:
            if holder.is_orphan and (is_late or holder.is_stopped):
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(holder.process_id, signal.SIGKILL)
        if time.monotonic() > deadline + 5:
            return
        if not is_said:
            say(f"waiting for {', '.join(map(str, holders))}, which an earlier command has left")
            is_said = True
        time.sleep(0.1)


def _holders(jobs: Sequence[Job]) -> list[Holder]:
    states = [observe_lock(job.run.path) for job in jobs]
    return [state.holder for state in states if state.is_held and state.holder is not None]


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
        state = job.run.observe()
        job.status, recorded_reason = state.status, state.reason
        has_no_end = job.run.has_no_end or state.status is Status.UNREADABLE
        if has_no_end or (stop_reason and state.status is Status.INTERRUPTED):
            job.status, recorded_reason, job.is_transient = status, stop_reason or reason, is_transient
            job.run.end(job.status, recorded_reason, is_transient)
        else:
            job.is_transient = job.run.read_status().get("transient") is True
    except (OSError, UserError) as error:
        # The disk may be full. The sweep continues, since other jobs may write to another disk.
        job.status, job.is_transient = Status.FAILED, False
        recorded_reason = f"{reason}, and its status could not be recorded ({error})"
    return recorded_reason
