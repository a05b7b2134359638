"""Jobs on this machine, as many at once as there are devices for, whatever starts them."""

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from rnnexp.sweeps.backends.base import Engine, S
from rnnexp.sweeps.devices import Allocation, Devices, num_cores, visible_gpus
from rnnexp.sweeps.jobs import Job, require_gpus
from rnnexp.sweeps.progress import SweepProgress


class MachineEngine(Engine[S]):
    """Hands out the devices: the longest job first, and shorter ones in the gaps.

    Args:
        settings: of the launcher.
        at_once: how many jobs, at most; None is as many as there are devices for.
        jobs_per_device: how many share a GPU.
    """

    def __init__(self, settings: Mapping[str, Any], at_once: int | None, jobs_per_device: int = 1) -> None:
        super().__init__(settings)
        gpus = visible_gpus()
        self.num_gpus = len(gpus)
        self.devices = Devices(gpus, jobs_per_device, num_cores())
        self.at_once = at_once

    def validate_jobs(self, jobs: Sequence[Job]) -> None:
        """Raises UserError for a job that needs more GPUs than there are."""
        require_gpus(jobs, self.num_gpus)

    def dry_run_report(self, jobs: Sequence[Job]) -> None:
        """Shows the jobs in a table; each configuration takes some training steps, to be timed."""
        from rnnexp.sweeps.dry_run import dry_run_report

        dry_run_report(jobs, self.devices)

    def submit(self, jobs: Sequence[Job], progress: SweepProgress) -> None:  # noqa: ARG002
        for job in jobs:
            if self.at_once is not None and len(self.submitted) >= self.at_once:
                return
            allocation = self.devices.allocation(job.need)
            if allocation is not None:
                self.submitted.append(self.start(job, allocation))

    @abstractmethod
    def start(self, job: Job, allocation: Allocation) -> S:
        """Starts a job that sees the devices of the allocation, and no other."""

    def _settle(self, entry: S, progress: SweepProgress) -> None:
        assert isinstance(entry.place, Allocation)
        self.devices.release(entry.place)
        super()._settle(entry, progress)
