"""A backend that runs jobs as tasks of Ray, on a running cluster or on a local one that ends with the sweep."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from rnnexp.core.errors import UserError, first_line
from rnnexp.core.signals import GRACE_SECONDS, handling
from rnnexp.core.socket_directory import short_directory
from rnnexp.sweeps.backends.base import Backend, Ended, JobState, SubmittedJob
from rnnexp.sweeps.devices import visible_gpus
from rnnexp.sweeps.jobs import Job, require_gpus
from rnnexp.sweeps.process.command import JobCommand, stop_process
from rnnexp.sweeps.process.group import kill_group
from rnnexp.sweeps.process.watchdog import POLL_SECONDS
from rnnexp.sweeps.progress import SweepProgress
from rnnexp.tracking.environment import num_cores
from rnnexp.tracking.status import Status

LOCAL = "local"
VARIABLES = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # The sweep sets CUDA_VISIBLE_DEVICES of a task that reserves no GPU.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A job whose worker has ended saves its state and ends by itself; Ray would kill it before.
    "RAY_kill_child_processes_on_worker_exit": "false",
}
"""Environment variables that Ray reads when it starts a cluster on this machine."""
SECONDS_TO_ANSWER = 10.0


def run_as_task(command: JobCommand) -> int:
    """Run a job within a task, and return its exit code. If the task is cancelled, the job saves its state first."""
    process = command.start()
    try:
        while process.poll() is None:
            time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        stop_process(process, GRACE_SECONDS)
        raise
    finally:
        kill_group(process.pid)
    return int(process.returncode)


@dataclass
class RayJob(SubmittedJob):
    """A job and the reference of its task's result."""

    task: "ray.ObjectRef[int]"

    def poll(self) -> JobState:
        try:
            if not ray.wait([self.task], timeout=0)[0]:
                return self.recorded_state
            return Ended.with_code(ray.get(self.task, timeout=SECONDS_TO_ANSWER))
        except RayError as error:
            # The task has failed, or the cluster has ended.
            return Ended(f"{type(error).__name__}: {first_line(error)}")


class RayBackend(Backend[RayJob]):
    """A backend that submits all jobs at once. Ray starts each job on a node with enough free CPUs or GPUs.

    Args:
        settings: the fields of the launcher's config, among them `address`, `num_cpus`, `num_gpus`, `jobs_per_device`.

    Raises:
        UserError: if a setting is invalid, or the cluster at the address cannot be reached.
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
        """Raise UserError for a job that needs more GPUs than any node has."""
        require_gpus(jobs, self.num_gpus)

    def run(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
        try:
            super().run(jobs, progress)
        except RayError as error:
            raise self._user_error(error) from None

    def submit(self, jobs: Sequence[Job], progress: SweepProgress) -> None:  # noqa: ARG002
        self._connect()
        for job in jobs:
            gpus: float = job.request.gpus
            if gpus == 1:
                gpus /= self.settings["jobs_per_device"]
            cores = self._cores(job)
            environment = {} if gpus else {"CUDA_VISIBLE_DEVICES": ""}
            task = ray.remote(run_as_task).options(name=job.label, num_cpus=cores, num_gpus=gpus, max_retries=0)
            job.status = Status.QUEUED
            place = f"ray, {gpus:g} gpu" if gpus else f"ray, {cores} core"
            self.submitted.append(RayJob(job, place, task.remote(JobCommand(job.run.path, environment))))

    def request_stop(self, entries: Sequence[RayJob]) -> None:
        for entry in entries:
            with suppress(RayError):
                ray.cancel(entry.task)

    def _cores(self, job: Job) -> int:
        """Return the number of cores to reserve, at most those of the largest node with enough GPUs."""
        most = max(cores for cores, gpus in self.nodes if gpus >= job.request.gpus)
        wanted = (job.config["num_threads"] or 1) if job.request.gpus else job.request.cores
        return min(wanted or most, most)

    def _connect(self) -> None:
        """Connect once for the whole sweep. Ray disconnects when this process ends, and ends the cluster it started."""
        if ray.is_initialized():
            return
        options = {"address": self.settings["address"], "log_to_driver": False, "logging_level": "ERROR"}
        if options["address"] == LOCAL:
            ((num_cpus, num_gpus),) = self.nodes
            options |= {"num_cpus": num_cpus, "num_gpus": num_gpus, "include_dashboard": False}
            # Ray has no other way to set these. The processes of the cluster, children of this one, read them.
            variables = VARIABLES | ({"RAY_TMPDIR": directory} if (directory := short_directory()) else {})
            for name, value in variables.items():
                os.environ.setdefault(name, value)
        try:
            # Ray installs its own handler, which must not replace the sweep's.
            with handling((signal.SIGTERM,), signal.getsignal(signal.SIGTERM)):
                ray.init(**options)
        except (ConnectionError, ValueError, RuntimeError, RayError) as error:
            raise self._user_error(error) from None

    def _user_error(self, error: Exception) -> UserError:
        return UserError(f"hydra.launcher.address={self.settings['address']}: {first_line(error)}")
