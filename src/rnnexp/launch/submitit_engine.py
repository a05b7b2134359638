"""The jobs of a sweep through submitit: arrays of SLURM jobs, or processes of this machine that work the same way.

A job that SLURM stops, for its time or for somebody else, saves, goes back into the queue and continues.
"""

import os
import re
import signal
import subprocess
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import FrameType
from typing import Any

import submitit
from filelock import FileLock, Timeout
from submitit.core.utils import FailedJobError, FailedSubmissionError, UncompletedJobError

from rnnexp.errors import UserError
from rnnexp.files import read_json, write_json
from rnnexp.launch.cluster_engine import ClusterEngine, Submitted
from rnnexp.launch.devices import Devices, Grant, num_cores, visible_gpus
from rnnexp.launch.job_command import SECONDS_BETWEEN_LOOKS, JobCommand, end
from rnnexp.launch.lifeline import GRACE_SECONDS
from rnnexp.launch.sweep_jobs import Job, how_it_ended, require_gpus
from rnnexp.launch.sweep_progress import SweepProgress

SECONDS_BETWEEN_QUERIES, SECONDS_BETWEEN_QUERIES_WHILE_STOPPING = 60.0, 3.0


class SubmittedJob:
    """What submitit pickles and calls on the machine that the job was given.

    Args:
        command: of the job.
        grace_seconds: that a job has to save when submitit says that it must stop.
        lifeline: a lock that the sweep's command holds as long as it lives; None lets the job outlive the command.
    """

    def __init__(self, command: JobCommand, grace_seconds: float, lifeline: Path | None = None) -> None:
        self.command, self.grace_seconds, self.lifeline = command, grace_seconds, lifeline
        self._process: subprocess.Popen[bytes] | None = None
        self._asked: float | None = None

    def __call__(self) -> int:
        """Runs the job. Returns its exit code."""
        self._process = self.command.start()
        # In place of submitit's, which lets it pass: scancel begins with it, and a job that knows can save.
        signal.signal(signal.SIGTERM, self._ask_to_stop)
        try:
            while self._process.poll() is None:
                time.sleep(SECONDS_BETWEEN_LOOKS)
                if self.lifeline is not None and not _is_held(self.lifeline):
                    self._ask_to_stop()
                if self._asked is not None and time.monotonic() - self._asked > GRACE_SECONDS:
                    self._process.kill()
        except UncompletedJobError as error:
            # Raised here by submitit's handler of signals, after `checkpoint`: the job does not go on by itself.
            if self.command.run.status == "queued":
                self.command.run.end("interrupted", str(error))
            raise
        return int(self._process.returncode)

    def checkpoint(self) -> submitit.helpers.DelayedSubmission | None:
        """Called by submitit when the job must make way: what is to run when its turn comes again, if anything."""
        run = self.command.run
        if self._process is not None:
            end(self._process, self.grace_seconds)
            if run.status not in ("queued", "running", "interrupted"):
                return None
        run.set_status("queued", "stopped by the scheduler, to be continued")
        return submitit.helpers.DelayedSubmission(SubmittedJob(self.command, self.grace_seconds, self.lifeline))

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


class SubmititEngine(ClusterEngine):
    """What both have in common.

    Args:
        settings: of the launcher; those that are None are left to submitit.
    """

    cluster: str

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__()
        self.settings = {name: value for name, value in settings.items() if value is not None}
        self.folder = Path(self.settings["submitit_folder"]).absolute()

    def make_executor(self, parameters: Mapping[str, Any]) -> submitit.AutoExecutor:
        executor = submitit.AutoExecutor(
            self.folder, self.cluster, **{f"{self.cluster}_max_num_timeout": self.settings["max_num_timeout"]}
        )
        try:
            executor.update_parameters(**parameters)
        except (AssertionError, NameError, ValueError) as error:
            raise UserError(f"hydra.launcher: {str(error).splitlines()[0]}") from None
        return executor


@dataclass
class LocalSubmitted(Submitted):
    handle: submitit.Job[int]

    def has_ended(self) -> bool:
        return bool(self.handle.done())

    def stop(self) -> None:
        # Not submitit's cancel(), which gives a job one second: its controller hands a SIGTERM on.
        if not self.has_ended():
            os.kill(int(self.handle.job_id), signal.SIGTERM)

    def how_it_ended(self) -> str:
        return _told_by_submitit(self.handle)


class LocalEngine(SubmititEngine):
    """As many at once as this machine has devices for; all end with the sweep's command."""

    cluster = "local"

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        gpus = visible_gpus()
        self.num_gpus = len(gpus)
        self.devices = Devices(gpus, 1, num_cores())
        self.lifeline = FileLock(self.folder / f"{os.getpid()}.lock")

    @cached_property
    def executor(self) -> submitit.AutoExecutor:
        return self.make_executor({"timeout_min": self.settings["timeout_min"]})

    def admit(self, jobs: Sequence[Job]) -> None:
        require_gpus(jobs, self.num_gpus)

    def rehearse(self, jobs: Sequence[Job]) -> None:
        """They will run here, so they can be tried here."""
        from rnnexp.launch.rehearsal import rehearse

        rehearse(jobs, self.devices)

    def submit(self, jobs: Sequence[Job], progress: SweepProgress) -> None:  # noqa: ARG002
        for job in jobs:
            is_full = len(self.submitted) >= self.settings.get("array_parallelism", float("inf"))
            grant = None if is_full else self.devices.grant(job.need)
            if grant is None:
                continue
            command = JobCommand(job.run.path, grant.environment)
            # Ctrl-C at the terminal is for the sweep, which asks its jobs to save: they inherit being deaf to it.
            self.folder.mkdir(parents=True, exist_ok=True)
            self.lifeline.acquire()
            before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
            try:
                handle = self.executor.submit(SubmittedJob(command, GRACE_SECONDS, Path(self.lifeline.lock_file)))
            finally:
                signal.pthread_sigmask(signal.SIG_SETMASK, before)
            job.status = "queued"
            self.submitted.append(LocalSubmitted(job, grant, handle))

    def _settle(self, entry: Submitted, progress: SweepProgress, verdict: str, why: str) -> None:
        assert isinstance(entry.place, Grant)
        self.devices.release(entry.place)
        super()._settle(entry, progress, verdict, why)


@dataclass
class SlurmSubmitted(Submitted):
    handle: submitit.Job[int]
    was_cancelled: bool = False

    def has_ended(self) -> bool:
        pause = SECONDS_BETWEEN_QUERIES_WHILE_STOPPING if self.was_cancelled else SECONDS_BETWEEN_QUERIES
        watcher = self.handle.watcher
        # One question for all jobs. submitit's own pauses grow to ten minutes.
        if time.time() - watcher._last_status_check > pause:
            watcher.update()
        return bool(self.handle.done())

    def stop(self) -> None:
        if not self.was_cancelled:
            self.was_cancelled = True
            self.handle.cancel(check=False)

    def how_it_ended(self) -> str:
        return _told_by_submitit(self.handle, f"SLURM job {self.handle.job_id} ended as {self.handle.state}")


class SlurmEngine(SubmititEngine):
    """One array for all jobs that need the same. They outlive the sweep's command, which finds them again."""

    cluster = "slurm"
    seconds_between_looks = 2.0

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        # Nobody knows here what the nodes have: it is asked for by number.
        self.num_gpus = self.settings.get("gpus_per_node", 0)

    def admit(self, jobs: Sequence[Job]) -> None:
        if "gpus_per_node" in self.settings:
            require_gpus(jobs, self.num_gpus)
        for job in jobs:
            if not job.need.gpus and job.config["trainer"]["accelerator"] in ("gpu", "cuda"):
                raise UserError(
                    f"{job.label}: trainer.devices={job.config['trainer']['devices']} is no number of GPUs that SLURM "
                    "could be asked for: give it one, or hydra.launcher.gpus_per_node="
                )
            handle = _recorded(job)
            if handle is None or handle.done(force_check=True):
                continue
            if handle.state == "UNKNOWN":
                raise UserError(
                    f"{job.label}: SLURM does not say whether its job {handle.job_id} has ended; if it has, remove "
                    f"{_record_file(job)}"
                )
            job.is_under_way, job.status = True, "queued"
            self.submitted.append(SlurmSubmitted(job, f"slurm {handle.job_id}", handle))

    def submit(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
        under_way = {id(entry.job) for entry in self.submitted}
        groups: dict[tuple[int, int], list[Job]] = defaultdict(list)
        for job in jobs:
            if id(job) not in under_way:
                groups[self._resources(job)].append(job)
        for (cpus, gpus), group in groups.items():
            executor = self.make_executor(self._parameters(cpus, gpus))
            grace = max(1.0, 0.75 * self.settings["signal_delay_s"])
            try:
                # A sweep that is itself a SLURM job would pass its own variables on.
                with submitit.helpers.clean_env():
                    handles = executor.submit_array(
                        [SubmittedJob(JobCommand(job.run.path), grace_seconds=grace) for job in group]
                    )
            except (FailedJobError, FailedSubmissionError) as error:
                raise UserError(f"sbatch: {(str(error).strip() or 'failed without a word').splitlines()[-1]}") from None
            for job, handle in zip(group, handles, strict=True):
                write_json(_record_file(job), {"job_id": handle.job_id, "folder": str(self.folder)})
                job.status = "queued"
                self.submitted.append(SlurmSubmitted(job, f"slurm {handle.job_id}", handle))
            number = handles[0].job_id.partition("_")[0]
            progress.say(f"submitted {len(group)} job{'s' * (len(group) > 1)} as SLURM job {number}")

    def _resources(self, job: Job) -> tuple[int, int]:
        """CPUs of a task and GPUs of a node, as the settings say, or as the job's config does."""
        threads = job.config["num_threads"] or 1
        processes = job.need.gpus or max(1, job.need.cores // threads)
        cpus = self.settings.get("cpus_per_task", max(1, threads * processes // self.settings["tasks_per_node"]))
        return cpus, self.settings.get("gpus_per_node", job.need.gpus)

    def _parameters(self, cpus: int, gpus: int) -> dict[str, Any]:
        """As submitit.AutoExecutor knows them: those of SLURM alone begin with `slurm_`."""
        given = {**self.settings, "cpus_per_task": cpus, "gpus_per_node": gpus or None}
        for ours in ("submitit_folder", "max_num_timeout"):
            del given[ours]
        common = submitit.AutoExecutor._typed_parameters()
        return {name if name in common else f"slurm_{name}": value for name, value in given.items()}


def _record_file(job: Job) -> Path:
    return job.run.path / "slurm.json"


def _recorded(job: Job) -> "submitit.SlurmJob[int] | None":
    """The SLURM job that an earlier command submitted for an unfinished job."""
    if job.is_final or not _record_file(job).exists():
        return None
    record = read_json(_record_file(job))
    return submitit.SlurmJob(folder=record["folder"], job_id=record["job_id"])


def _told_by_submitit(handle: submitit.Job[int], otherwise: str = "") -> str:
    """What is known of a job that has ended: its exit code, its error, or else what the scheduler says."""
    if not handle.paths.result_pickle.exists():
        return otherwise or "its process was killed"
    error = handle.exception()
    if error is None:
        # One for each of its tasks.
        return how_it_ended(next((code for code in handle.results() if code), 0))
    lines = [line for line in str(error).splitlines() if re.match(r"\S*(Error|Exception)\b", line)]
    return lines[-1] if lines else str(error).splitlines()[0]
