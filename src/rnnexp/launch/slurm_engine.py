"""The jobs of a sweep as arrays of SLURM jobs, through submitit.

A job that SLURM stops, for its time or for somebody else, saves, goes back into the queue and continues.
"""

import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError

from rnnexp.errors import UserError
from rnnexp.files import read_json, write_json
from rnnexp.launch.engine import Engine, Submitted
from rnnexp.launch.job_command import JobCommand
from rnnexp.launch.submitit_job import SubmittedJob, folder_of, make_executor, told_by_submitit
from rnnexp.launch.sweep_jobs import Job, require_gpus
from rnnexp.launch.sweep_progress import SweepProgress

SECONDS_BETWEEN_QUERIES, SECONDS_BETWEEN_QUERIES_WHILE_STOPPING = 60.0, 3.0


@dataclass
class SlurmSubmitted(Submitted):
    handle: submitit.Job[int]

    def has_ended(self) -> bool:
        pause = SECONDS_BETWEEN_QUERIES if self.asked is None else SECONDS_BETWEEN_QUERIES_WHILE_STOPPING
        watcher = self.handle.watcher
        # One question for all jobs. submitit's own pauses grow to ten minutes.
        if time.time() - watcher._last_status_check > pause:
            watcher.update()
        return bool(self.handle.done())

    def stop(self) -> None:
        if self.asked is None:
            self.handle.cancel(check=False)

    def how_it_ended(self) -> str:
        return told_by_submitit(self.handle, f"SLURM job {self.handle.job_id} ended as {self.handle.state}")


class SlurmEngine(Engine):
    """One array for all jobs that need the same. They outlive the sweep's command, which finds them again."""

    seconds_between_looks = 2.0

    def __init__(self, settings: Mapping[str, Any]) -> None:
        # What is None is left to submitit.
        super().__init__({name: value for name, value in settings.items() if value is not None})
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
                    f"{job.run.slurm_file}"
                )
            job.is_under_way, job.status = True, "queued"
            self.submitted.append(SlurmSubmitted(job, f"slurm {handle.job_id}", handle))

    def submit(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
        groups: dict[tuple[int, int], list[Job]] = defaultdict(list)
        for job in jobs:
            groups[self._resources(job)].append(job)
        for (cpus, gpus), group in groups.items():
            executor = make_executor("slurm", self.settings, self._parameters(cpus, gpus))
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
                write_json(job.run.slurm_file, {"job_id": handle.job_id, "folder": str(folder_of(self.settings))})
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
        for ours in ("submitit_folder", "max_num_timeout", "on_error", "max_failures"):
            given.pop(ours, None)
        common = submitit.AutoExecutor._typed_parameters()
        return {name if name in common else f"slurm_{name}": value for name, value in given.items()}


def _recorded(job: Job) -> "submitit.SlurmJob[int] | None":
    """The SLURM job that an earlier command submitted for an unfinished job."""
    if job.is_final or not job.run.slurm_file.exists():
        return None
    record = read_json(job.run.slurm_file)
    return submitit.SlurmJob(folder=record["folder"], job_id=record["job_id"])
