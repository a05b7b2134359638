"""The jobs of a sweep as arrays of SLURM jobs, through submitit.

A job that SLURM stops, for its time or for somebody else, saves, goes back into the queue and continues.
"""

import re
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import FrameType
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError
from submitit.slurm.slurm import SlurmInfoWatcher

from rnnexp.core.atomic_files import read_json, write_json
from rnnexp.core.errors import UserError
from rnnexp.sweeps.backends.base import Engine, Submitted, status_of
from rnnexp.sweeps.backends.submitit_task import SubmittedJob, folder_of, make_executor, told_by_submitit
from rnnexp.sweeps.jobs import Job, require_gpus
from rnnexp.sweeps.process.command import JobCommand
from rnnexp.sweeps.process.watchdog import GRACE_SECONDS
from rnnexp.sweeps.progress import SweepProgress

SECONDS_BETWEEN_QUERIES, SECONDS_BETWEEN_QUERIES_WHILE_STOPPING = 60, 3
SECONDS_TO_COME_BACK = 300.0
"""How long a job that SLURM may start again by itself takes to be in the queue, at most."""
MAY_COME_BACK = {"NODE_FAIL", "PREEMPTED"}
ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "OUT_OF_MEMORY", "TIMEOUT"}
"""States of SLURM in which nothing of a job runs or will run. It has more, and may get new ones."""


class Watcher(SlurmInfoWatcher):
    """Asks SLURM about all jobs at once. submitit's takes whatever state it does not know for the end of a job."""

    def __init__(self) -> None:
        super().__init__(delay_s=SECONDS_BETWEEN_QUERIES)
        self._gone: dict[str, float] = {}

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        state = self.get_state(job_id, mode).partition(" ")[0]
        if state in MAY_COME_BACK:
            return time.monotonic() - self._gone.setdefault(job_id, time.monotonic()) > SECONDS_TO_COME_BACK
        self._gone.pop(job_id, None)
        return state in ENDED


class SlurmJob(submitit.SlurmJob[int]):
    watcher = Watcher()


@dataclass
class SlurmSubmitted(Submitted):
    handle: SlurmJob
    cancelled: float | None = field(default=None, init=False)

    def has_ended(self) -> bool:
        pause = SECONDS_BETWEEN_QUERIES if self.asked is None else SECONDS_BETWEEN_QUERIES_WHILE_STOPPING
        # submitit's own pauses do not know that somebody waits.
        if time.time() - self.handle.watcher._last_status_check > pause:
            self.handle.watcher.update()
        if not self.handle.done():
            return False
        if self.handle.paths.result_pickle.exists() or not self.handle.state.startswith(("CANCELLED", "PREEMPTED")):
            return True
        # SLURM calls a job so as soon as it asks it to end, and the job may still be saving.
        self.verdict = "interrupted"
        self.cancelled = self.cancelled or time.monotonic()
        return status_of(self.job) != "running" or time.monotonic() - self.cancelled > GRACE_SECONDS

    def exit_reason(self) -> str:
        return told_by_submitit(self.handle, f"SLURM job {self.handle.job_id} ended as {self.handle.state}")


class SlurmEngine(Engine[SlurmSubmitted]):
    """One array for all jobs that need the same. They outlive the sweep's command, which finds them again."""

    seconds_between_looks = 2.0

    def __init__(self, settings: Mapping[str, Any]) -> None:
        # What is None is left to submitit.
        super().__init__({name: value for name, value in settings.items() if value is not None})
        numbers = ("timeout_min", "nodes", "tasks_per_node", "cpus_per_task", "array_parallelism")
        self.require_positive(optional=numbers)
        # Nobody knows here what the nodes have: it is asked for by number.
        self.num_gpus = self.settings.get("gpus_per_node", 0)

    def validate_jobs(self, jobs: Sequence[Job]) -> None:
        """Raises UserError for a job whose GPUs have no number, or a greater one than a node has."""
        if "gpus_per_node" in self.settings:
            require_gpus(jobs, self.num_gpus)
        for job in jobs:
            if not job.need.gpus and job.config["trainer"]["accelerator"] in ("gpu", "cuda"):
                raise UserError(
                    f"{job.label}: trainer.devices={job.config['trainer']['devices']} is no number of GPUs that SLURM "
                    "could be asked for: give it one, or hydra.launcher.gpus_per_node="
                )

    def reattach(self, jobs: Sequence[Job]) -> None:
        """Raises UserError for a job of which SLURM does not say whether it runs."""
        # All of them before the first is asked about: then one question serves all.
        recorded = [(job, _recorded(job)) for job in jobs if not job.is_final and job.run.slurm_file.exists()]
        for job, handle in recorded:
            if handle.done():
                continue
            if handle.state == "UNKNOWN":
                raise UserError(
                    f"{job.label}: SLURM does not say whether its job {handle.job_id} has ended; if it has, remove "
                    f"{job.run.slurm_file}"
                )
            job.is_under_way, job.status = True, "queued"
            self.submitted.append(SlurmSubmitted(job, f"slurm {handle.job_id}", handle))

    def submit(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
        groups: dict[tuple[int, int], list[Job]] = defaultdict(list)
        for job in jobs:
            groups[self._resources(job)].append(job)
        for resources, group in groups.items():
            # Between the two, SLURM would run jobs that nobody knows of.
            with _signals_wait():
                handles = self._submit_array(group, *resources)
                for job, handle in zip(group, handles, strict=True):
                    job.status = "queued"
                    self.submitted.append(SlurmSubmitted(job, f"slurm {handle.job_id}", handle))
                for job, handle in zip(group, handles, strict=True):
                    record = {"job_id": handle.job_id, "folder": str(folder_of(self.settings))}
                    write_json(job.run.slurm_file, record)
            number = handles[0].job_id.partition("_")[0]
            progress.say(f"submitted {len(group)} job{'s' * (len(group) > 1)} as SLURM job {number}")

    def ask_to_stop(self, entries: Sequence[SlurmSubmitted]) -> None:
        """Once, and all of them in one command, for each takes SLURM a while."""
        if numbers := [entry.handle.job_id for entry in entries if entry.asked is None]:
            subprocess.run(["scancel", *numbers], check=False)  # noqa: S603, S607 (SLURM's, wherever it is)

    def _submit_array(self, jobs: Sequence[Job], cpus: int, gpus: int) -> list[SlurmJob]:
        """Raises UserError if SLURM refuses."""
        executor = make_executor("slurm", self.settings, self._parameters(cpus, gpus))
        grace = max(1.0, 0.75 * self.settings["signal_delay_s"])
        commands = [SubmittedJob(JobCommand(job.run.path), grace_seconds=grace) for job in jobs]
        try:
            # A sweep that is itself a SLURM job would pass its own variables on.
            with submitit.helpers.clean_env():
                handles = executor.submit_array(commands)
        except (FailedJobError, FailedSubmissionError) as error:
            raise UserError(f"sbatch: {(str(error).strip() or 'failed without a word').splitlines()[-1]}") from None
        folder = folder_of(self.settings)
        return [SlurmJob(folder, handle.job_id, tasks=range(handle.num_tasks)) for handle in handles]

    def _settle(self, entry: SlurmSubmitted, progress: SweepProgress) -> None:
        super()._settle(entry, progress)
        if entry.has_ended():
            # SLURM will forget the job, and then the next command would have to ask whether it has ended.
            entry.job.run.slurm_file.unlink(missing_ok=True)

    def _resources(self, job: Job) -> tuple[int, int]:
        """CPUs of a task and GPUs of a node, as the settings say, or as the job's config does."""
        threads = job.config["num_threads"] or 1
        processes = job.need.gpus or max(1, job.need.cores // threads)
        cpus = self.settings.get("cpus_per_task", max(1, threads * processes // self.settings["tasks_per_node"]))
        return cpus, self.settings.get("gpus_per_node", job.need.gpus)

    def _parameters(self, cpus: int, gpus: int) -> dict[str, Any]:
        """As submitit.AutoExecutor knows them: those of SLURM alone begin with `slurm_`."""
        given = {**self.settings, "cpus_per_task": cpus, "gpus_per_node": gpus or None}
        for ours in ("submitit_folder", "max_num_timeout", "on_error", "max_failures"):
            given.pop(ours, None)
        common = submitit.AutoExecutor._typed_parameters()
        return {name if name in common else f"slurm_{name}": value for name, value in given.items()}


def _recorded(job: Job) -> SlurmJob:
    """The SLURM job that an earlier command submitted.

    Raises:
        UserError: if the record names none.
    """
    file = job.run.slurm_file
    match read_json(file):
        case {"job_id": str(number), "folder": str(folder)} if re.fullmatch(r"\d+(_\d+)?", number):
            return SlurmJob(folder, number)
    raise UserError(f"{file} names no job of SLURM: see that none runs for this directory, and remove the file")


@contextmanager
def _signals_wait() -> Iterator[None]:
    """SIGINT and SIGTERM take effect after the block, also on the commands that it starts."""
    numbers: tuple[int, ...] = (signal.SIGINT, signal.SIGTERM)
    received: list[int] = []

    def note(number: int, _: FrameType | None) -> None:
        received.append(number)

    # The handlers, since other threads have a mask of their own; the mask, since Ctrl-C at a terminal reaches children.
    handlers = {number: signal.signal(number, note) for number in numbers}
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, numbers)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        for number, handler in handlers.items():
            signal.signal(number, handler)
    for number in received[:1]:
        signal.raise_signal(number)
