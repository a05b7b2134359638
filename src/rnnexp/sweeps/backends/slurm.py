"""A backend that submits jobs to SLURM as job arrays, with submitit.

A job that SLURM stops, at its time limit or by preemption, saves its state, is requeued and continues.
"""

import os
import signal
import subprocess
import time
import uuid
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from shutil import which
from typing import Any

import submitit

from rnnexp.compat.submitit import FailedJobError, FailedSubmissionError, SlurmJob, scripts_of
from rnnexp.core.errors import InterruptedRunError, UserError
from rnnexp.core.signals import STOP_SIGNALS, deferred
from rnnexp.runs.distributed import num_devices
from rnnexp.sweeps.backends.base import Backend, Ended, JobState, SubmittedJob
from rnnexp.sweeps.backends.slurm_record import SlurmRecord
from rnnexp.sweeps.backends.submitit_task import SubmititTask, end_of_submitit_job, make_executor, submitit_folder
from rnnexp.sweeps.jobs import Job, require_gpus
from rnnexp.sweeps.process.command import JobCommand
from rnnexp.sweeps.progress import SweepProgress
from rnnexp.tracking.status import Status

COMMANDS = ("sbatch", "srun", "squeue", "sacct", "scancel")
QUERY_SECONDS_WHILE_STOPPING = 3.0
"""The interval at which SLURM is queried while jobs stop. The interval of submitit is up to a minute."""
STOPPED = ("CANCELLED", "PREEMPTED")
"""States of jobs that SLURM stopped, and that it does not start again."""
OWN_SETTINGS = ("submitit_folder", "max_num_timeout", "on_error", "max_failures", "retries")
"""Settings of the launcher that are not parameters of submitit."""
SHARED_PARAMETERS = (
    *("name", "nodes", "tasks_per_node", "cpus_per_task", "gpus_per_node", "mem_gb", "timeout_min", "stderr_to_stdout"),
)
"""Parameters that submitit has for every cluster. The names of all others begin with `slurm_`."""


@dataclass
class SubmittedSlurmJob(SubmittedJob):
    """A job and submitit's handle of its SLURM job."""

    handle: SlurmJob

    def poll(self) -> JobState:
        if not self.handle.done():
            return self.recorded_state
        state = self.handle.state
        ended = end_of_submitit_job(self.handle, f"SLURM job {self.handle.job_id} ended as {state}")
        if state not in STOPPED:
            return ended
        # Whoever cancels a job does not want it to start again.
        return Ended(ended.reason, Status.INTERRUPTED, is_transient=state != "CANCELLED")


class SlurmBackend(Backend[SubmittedSlurmJob]):
    """A backend that submits one array for all jobs that need the same resources.

    The jobs continue after the sweep's command has ended. The same command, given again, finds them.

    Args:
        settings: the fields of the launcher's config; None leaves a setting to submitit.

    Raises:
        UserError: for an invalid setting, or on a machine without the commands of SLURM.
    """

    poll_seconds = 2.0
    is_away = False
    """Whether the last query of SLURM had no answer."""

    def __init__(self, settings: Mapping[str, Any]) -> None:
        if missing := [command for command in COMMANDS if which(command) is None]:
            raise UserError(
                f"hydra/launcher=submitit_slurm needs a machine of a SLURM cluster, and there is no {missing[0]} here; "
                "hydra/launcher=submitit_local runs the same jobs on this machine"
            )
        super().__init__({name: value for name, value in settings.items() if value is not None})
        numbers = ("timeout_min", "nodes", "tasks_per_node", "cpus_per_task", "array_parallelism")
        self.require_positive(optional=numbers)
        # The GPUs of the nodes are not known here, so jobs must request a number.
        self.num_gpus = self.settings.get("gpus_per_node", 0)

    def validate_jobs(self, jobs: Sequence[Job]) -> None:
        """Raise UserError for a job whose number of GPUs is unknown, or greater than that of a node."""
        if "gpus_per_node" in self.settings:
            require_gpus(jobs, self.num_gpus)
        for job in jobs:
            if not job.request.gpus and job.config["trainer"]["accelerator"] in ("gpu", "cuda"):
                raise UserError(
                    f"{job.label}: trainer.devices={job.config['trainer']['devices']} is not a number of GPUs that "
                    "SLURM can allocate: set it to one, or set hydra.launcher.gpus_per_node="
                )

    def reattach(self, jobs: Sequence[Job]) -> None:
        """Find the jobs that an earlier command submitted.

        Raises:
            UserError: for a job whose state SLURM does not report.
        """
        handles: list[tuple[Job, SlurmJob, SlurmRecord]] = []
        for job in jobs:
            if job.status.is_final or not job.run.slurm_file.exists():
                continue
            record = SlurmRecord.read(job.run)
            if record is None:
                print(f"{job.run.slurm_file} does not name a SLURM job: {job.label} is submitted again", flush=True)
            elif record.job_id is not None:
                # A job without a number has not started, and will not once it is submitted again.
                folder = submitit_folder(self.settings, record.submission)
                handles.append((job, SlurmJob(folder, record.job_id), record))
        # All handles are created before the first query, so that one query returns all states.
        live = [entry for entry in handles if not entry[1].done()]
        scripts = scripts_of(handle for _, handle, _ in live)
        for job, handle, record in live:
            if handle.watcher.error or handle.job_id not in scripts:
                raise UserError(
                    f"{job.label}: SLURM does not report the state of its job {handle.job_id} "
                    f"({handle.watcher.error or 'no answer'}): give the same command again when it does, or if the job "
                    f"has ended, remove {job.run.slurm_file}"
                )
            if record.submission not in scripts[handle.job_id]:
                # The directory comes from another cluster, or somebody has changed the record.
                print(f"SLURM job {handle.job_id} is not that of {job.label}: it is submitted again", flush=True)
                continue
            job.status = Status.QUEUED
            self.submitted.append(SubmittedSlurmJob(job, f"slurm {handle.job_id}", handle))

    def submit(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
        groups: dict[tuple[int, int], list[Job]] = defaultdict(list)
        for job in jobs:
            groups[self._resources(job)].append(job)
        for resources, group in groups.items():
            # A signal between submission and record would leave jobs without a number.
            with deferred(STOP_SIGNALS):
                record = SlurmRecord(uuid.uuid4().hex)
                handles = self._submit_array(group, record, *resources)
                for job, handle in zip(group, handles, strict=True):
                    job.status = Status.QUEUED
                    self.submitted.append(SubmittedSlurmJob(job, f"slurm {handle.job_id}", handle))
                for job, handle in zip(group, handles, strict=True):
                    replace(record, job_id=handle.job_id).write(job.run)
            number = handles[0].job_id.partition("_")[0]
            progress.say(f"submitted {len(group)} job{'s' * (len(group) > 1)} as SLURM job {number}")

    def outlives(self, error: BaseException) -> bool:
        """Return whether the terminal was closed. All other ends of the command cancel the jobs."""
        return isinstance(error, InterruptedRunError) and error.signal_number == signal.SIGHUP

    def refresh(self, progress: SweepProgress) -> None:
        """Query SLURM while jobs stop; at other times the handles query it themselves. Say when it does not answer."""
        watcher = SlurmJob.watcher
        is_stopping = any(entry.stop is not None for entry in self.submitted)
        if is_stopping and time.monotonic() - watcher.updated_at > QUERY_SECONDS_WHILE_STOPPING:
            watcher.update()
        if watcher.error and not self.is_away:
            progress.say(f"SLURM does not answer ({watcher.error}): its jobs continue, and their ends are seen later")
        self.is_away = bool(watcher.error)

    def request_stop(self, entries: Sequence[SubmittedSlurmJob]) -> None:
        """Cancel all jobs with one command, since commands of SLURM are slow."""
        numbers = [entry.handle.job_id for entry in entries]
        subprocess.run(["scancel", *numbers], check=False)  # noqa: S603, S607 (wherever SLURM is installed)

    def release(self, entry: SubmittedSlurmJob) -> None:
        if isinstance(entry.poll(), Ended):
            # SLURM deletes its records of ended jobs, so a later command could not check whether this one has ended.
            entry.job.run.slurm_file.unlink(missing_ok=True)

    def _submit_array(self, jobs: Sequence[Job], record: SlurmRecord, cpus: int, gpus: int) -> list[SlurmJob]:
        """Submit jobs as one array, and return their handles. Raise UserError if sbatch fails."""
        folder = submitit_folder(self.settings, record.submission)
        executor = make_executor("slurm", folder, self.settings, self._parameters(cpus, gpus))
        grace = max(1.0, 0.75 * self.settings["signal_delay_s"])
        tasks = [SubmititTask(JobCommand(job.run.path), grace, submission=record.submission) for job in jobs]
        try:
            for job in jobs:
                record.write(job.run)
            with _without_variables_of_jobs():
                handles = executor.submit_array(tasks)
        except BaseException as error:
            # sbatch may fail after SLURM has accepted the jobs. Without a record none of them runs.
            for job in jobs:
                job.run.slurm_file.unlink(missing_ok=True)
            if not isinstance(error, FailedJobError | FailedSubmissionError):
                raise
            lines = (str(error).strip() or "failed without a message").split("\n")
            raise UserError(f"sbatch: {lines[-1].removeprefix('sbatch: ')}") from None
        return [SlurmJob(folder, handle.job_id, tasks=range(handle.num_tasks)) for handle in handles]

    def _resources(self, job: Job) -> tuple[int, int]:
        """Return the CPUs of a task and the GPUs of a node, from the settings or else from the job's config."""
        threads = job.config["num_threads"] or 1
        processes = job.request.gpus or max(1, num_devices(job.config["trainer"], num_gpus=0))
        cpus = self.settings.get("cpus_per_task", max(1, threads * processes // self.settings["tasks_per_node"]))
        return cpus, self.settings.get("gpus_per_node", job.request.gpus)

    def _parameters(self, cpus: int, gpus: int) -> dict[str, Any]:
        """Return the parameters under the names of submitit.AutoExecutor."""
        settings = {**self.settings, "cpus_per_task": cpus, "gpus_per_node": gpus or None}
        return {
            name if name in SHARED_PARAMETERS else f"slurm_{name}": value
            for name, value in settings.items()
            if name not in OWN_SETTINGS
        }


@contextmanager
def _without_variables_of_jobs() -> Iterator[None]:
    """Hide the variables of a SLURM job in which the sweep runs, which its jobs would inherit."""
    configuration = {name: value for name, value in os.environ.items() if name == "SLURM_CONF"}
    with submitit.helpers.clean_env():
        os.environ.update(configuration)
        yield
