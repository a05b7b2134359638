"""The jobs of a sweep as tasks of a Ray cluster: one that stands, or one on this machine that ends with the sweep."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from rnnexp.core.errors import UserError
from rnnexp.sweeps.backends.base import Engine, Submitted
from rnnexp.sweeps.devices import num_cores, visible_gpus
from rnnexp.sweeps.jobs import Job, exit_reason, require_gpus
from rnnexp.sweeps.process.command import SECONDS_BETWEEN_LOOKS, JobCommand, end
from rnnexp.sweeps.process.watchdog import GRACE_SECONDS
from rnnexp.sweeps.progress import SweepProgress

LOCAL = "local"
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A job that was given no GPU is told so by us.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A job whose worker is gone saves and ends by itself; Ray would kill it first.
    "RAY_kill_child_processes_on_worker_exit": "false",
}
"""Of a local cluster: variables that Ray reads as it starts."""
SECONDS_TO_ANSWER = 10.0


def run_as_task(command: JobCommand) -> int:
    """Runs a job within a task. Returns its exit code; if the task is cancelled, the job saves first."""
    process = command.start()
    try:
        while process.poll() is None:
            time.sleep(SECONDS_BETWEEN_LOOKS)
    except KeyboardInterrupt:
        end(process, GRACE_SECONDS)
        raise
    return int(process.returncode)


@dataclass
class RaySubmitted(Submitted):
    task: "ray.ObjectRef[int]"

    def has_ended(self) -> bool:
        try:
            return bool(ray.wait([self.task], timeout=0)[0])
        except RayError:
            # The cluster is gone, and `exit_reason` tells.
            return True

    def exit_reason(self) -> str:
        try:
            return exit_reason(ray.get(self.task, timeout=SECONDS_TO_ANSWER))
        except RayError as error:
            return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"


class RayEngine(Engine[RaySubmitted]):
    """All jobs are handed over at once, and Ray starts each where its CPUs or GPUs are free.

    Args:
        settings: `address`, `num_cpus`, `num_gpus` and `jobs_per_device` of the launcher, and those of every one.

    Raises:
        UserError: if there is no cluster at the address, or it lets nobody in.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        self.require_positive("jobs_per_device", optional=("num_cpus",))
        if settings["address"] == LOCAL:
            num_gpus = len(visible_gpus()) if settings["num_gpus"] is None else settings["num_gpus"]
            self.nodes = [(settings["num_cpus"] or num_cores(), num_gpus)]
        else:
            self._connect()
            resources = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
            self.nodes = [(int(node.get("CPU", 0)), int(node.get("GPU", 0))) for node in resources]
        if not self.nodes:
            raise UserError(f"hydra.launcher.address={settings['address']}: no node of this cluster is alive")
        self.num_gpus = max(gpus for _, gpus in self.nodes)

    def validate_jobs(self, jobs: Sequence[Job]) -> None:
        """Raises UserError for a job that needs more GPUs than any node has."""
        require_gpus(jobs, self.num_gpus)

    def run(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
        try:
            super().run(jobs, progress)
        except RayError as error:
            raise self._told(error) from None

    def submit(self, jobs: Sequence[Job], progress: SweepProgress) -> None:  # noqa: ARG002
        self._connect()
        for job in jobs:
            gpus: float = job.need.gpus
            if gpus == 1:
                gpus /= self.settings["jobs_per_device"]
            cores = self._cores(job)
            hidden = {} if gpus else {"CUDA_VISIBLE_DEVICES": ""}
            task = ray.remote(run_as_task).options(name=job.label, num_cpus=cores, num_gpus=gpus, max_retries=0)
            job.status = "queued"
            place = f"ray, {gpus:g} gpu" if gpus else f"ray, {cores} core"
            self.submitted.append(RaySubmitted(job, place, task.remote(JobCommand(job.run.path, hidden))))

    def ask_to_stop(self, entries: Sequence[RaySubmitted]) -> None:
        for entry in entries:
            if entry.asked is None:
                with suppress(RayError):
                    ray.cancel(entry.task)

    def _cores(self, job: Job) -> int:
        """Of one node that has the job's GPUs: a job that needs more cores than any of these gets all of one."""
        wanted = (job.config["num_threads"] or 1) if job.need.gpus else job.need.cores
        return min(wanted, max(cores for cores, gpus in self.nodes if gpus >= job.need.gpus))

    def _connect(self) -> None:
        """Once for the whole sweep. At the end of this process Ray disconnects, and a cluster started here ends."""
        if ray.is_initialized():
            return
        given = {"address": self.settings["address"], "log_to_driver": False, "logging_level": "ERROR"}
        if given["address"] == LOCAL:
            ((num_cpus, num_gpus),) = self.nodes
            given |= {"num_cpus": num_cpus, "num_gpus": num_gpus, "include_dashboard": False}
            for name, value in SETTINGS.items():
                os.environ.setdefault(name, value)
        # Ray puts a handler of its own in the place of the sweep's.
        on_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**given)
        except (ConnectionError, ValueError, RuntimeError, RayError) as error:
            raise self._told(error) from None
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)

    def _told(self, error: Exception) -> UserError:
        return UserError(f"hydra.launcher.address={self.settings['address']}: {str(error).strip().splitlines()[0]}")
