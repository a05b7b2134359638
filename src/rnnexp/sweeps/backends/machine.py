"""The base class of backends that run jobs on this machine and allocate its devices to them."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from rnnexp.sweeps.backends.base import Backend, S
from rnnexp.sweeps.devices import Allocation, Devices, visible_gpus
from rnnexp.sweeps.dry_run import dry_run_report
from rnnexp.sweeps.jobs import Job, require_gpus
from rnnexp.sweeps.progress import SweepProgress
from rnnexp.tracking.environment import num_cores


class MachineBackend(Backend[S]):
    """A backend that runs as many jobs at once as the devices of this machine allow, the longest first.

    A shorter job starts earlier if the devices for a longer one are not free.

    Args:
        settings: the fields of the launcher's config.
        max_running: the number of jobs that run at once; with None only the devices limit it.
        jobs_per_device: the number of jobs that share a GPU.
    """

    def __init__(self, settings: Mapping[str, Any], max_running: int | None, jobs_per_device: int = 1) -> None:
        super().__init__(settings)
        gpus = visible_gpus()
        self.num_gpus = len(gpus)
        self.devices = Devices(gpus, jobs_per_device, num_cores())
        self.max_running = max_running

    def validate_jobs(self, jobs: Sequence[Job]) -> None:
        """Raise UserError for a job that needs more GPUs than there are."""
        require_gpus(jobs, self.num_gpus)

    def dry_run_report(self, jobs: Sequence[Job]) -> None:
        """Print the jobs in a table with estimates of their time, from some training steps of each setting."""
        dry_run_report(jobs, lambda estimated: self.devices.seconds_for(estimated, self.max_running))

    def submit(self, jobs: Sequence[Job], progress: SweepProgress) -> None:  # noqa: ARG002
        for job in jobs:
            if self.max_running is not None and len(self.submitted) >= self.max_running:
                return
            allocation = self.devices.allocate(job.request)
            if allocation is not None:
                self.submitted.append(self.start(job, allocation))

    @abstractmethod
    def start(self, job: Job, allocation: Allocation) -> S:
        """Start a job that sees the devices of the allocation and no others."""

    def release(self, entry: S) -> None:
        assert isinstance(entry.place, Allocation)
        self.devices.release(entry.place)
