"""The jobs of a sweep as tasks of a Ray cluster: one that stands, or one on this machine that ends with the sweep."""

import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError

from rnnexp.errors import UserError
from rnnexp.launch.devices import num_cores, visible_gpus
from rnnexp.launch.engine import Engine, Submitted
from rnnexp.launch.job_command import SECONDS_BETWEEN_LOOKS, JobCommand, end
from rnnexp.launch.lifeline import GRACE_SECONDS
from rnnexp.launch.sweep_jobs import Job, how_it_ended, require_gpus
from rnnexp.launch.sweep_progress import SweepProgress

LOCAL = "local"
SETTINGS = {
    "RAY_USAGE_STATS_ENABLED": "0",
    # A job that was given no GPU is told so by us.
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",
    # A job whose worker is gone saves and ends by itself; Ray would kill it first.
    "RAY_kill_child_processes_on_worker_exit": "false",
}
"""Of a local cluster: variables that Ray reads as it starts."""


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
        return bool(ray.wait([self.task], timeout=0)[0])

    def stop(self) -> None:
        if self.asked is None:
            ray.cancel(self.task)

    def how_it_ended(self) -> str:
        try:
            return how_it_ended(ray.get(self.task))
        except RayError as error:
            return f"{type(error).__name__}: {str(error).strip().splitlines()[0]}"


class RayEngine(Engine):
    """All jobs are handed over at once, and Ray starts each where its CPUs or GPUs are free.

    Args:
        settings: `address`, `num_cpus`, `num_gpus` and `jobs_per_device` of the launcher.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings)
        if settings["address"] == LOCAL:
            self.num_cpus = settings["num_cpus"] or num_cores()
            self.num_gpus = len(visible_gpus()) if settings["num_gpus"] is None else settings["num_gpus"]
            return
        with self._connected():
            nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]  # type: ignore[no-untyped-call]
        self.num_cpus = int(max(node.get("CPU", 0) for node in nodes))
        self.num_gpus = int(max(node.get("GPU", 0) for node in nodes))

    def admit(self, jobs: Sequence[Job]) -> None:
        require_gpus(jobs, self.num_gpus)

    def run(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
        with self._connected():
            super().run(jobs, progress)

    def submit(self, jobs: Sequence[Job], progress: SweepProgress) -> None:  # noqa: ARG002
        for job in jobs:
            gpus: float = job.need.gpus
            if gpus == 1:
                gpus /= self.settings["jobs_per_device"]
            # A job that needs more cores than any machine has gets all of one.
            cores = job.config["num_threads"] or 1 if gpus else job.need.cores
            hidden = {} if gpus else {"CUDA_VISIBLE_DEVICES": ""}
            task = ray.remote(run_as_task).options(
                name=job.label, num_cpus=min(cores, self.num_cpus), num_gpus=gpus, max_retries=0
            )
            job.status = "queued"
            place = f"ray, {gpus:g} gpu" if gpus else f"ray, {cores} core"
            self.submitted.append(RaySubmitted(job, place, task.remote(JobCommand(job.run.path, hidden))))

    @contextmanager
    def _connected(self) -> Iterator[None]:
        """Within it Ray can be asked; a cluster that was started for it is gone afterwards, with all its processes."""
        given = {"address": self.settings["address"], "log_to_driver": False, "logging_level": "ERROR"}
        if given["address"] == LOCAL:
            given |= {"num_cpus": self.num_cpus, "num_gpus": self.num_gpus, "include_dashboard": False}
            for name, value in SETTINGS.items():
                os.environ.setdefault(name, value)
        # Ray puts a handler of its own in the place of the sweep's.
        on_sigterm = signal.getsignal(signal.SIGTERM)
        try:
            ray.init(**given)
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise UserError(
                f"hydra.launcher.address={given['address']}: {str(error).strip().splitlines()[0]}"
            ) from None
        finally:
            signal.signal(signal.SIGTERM, on_sigterm)
        try:
            yield
        finally:
            ray.shutdown()
