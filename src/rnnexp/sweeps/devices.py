"""The devices of a machine, and the requests and allocations of jobs."""

import heapq
import itertools
import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from rnnexp.runs.distributed import num_devices


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """Return one entry of CUDA_VISIBLE_DEVICES per device: those of the variable, or of all devices if it is not set.

    An entry is an index, the UUID of a GPU or the UUID of a MIG instance.
    """
    variable = environment.get("CUDA_VISIBLE_DEVICES")
    if variable is None:
        return _all_gpus()
    entries = [entry.strip() for entry in variable.split(",") if entry.strip()]
    # CUDA ignores the entries after the first -1.
    return entries[: entries.index("-1")] if "-1" in entries else entries


def _all_gpus() -> list[str]:
    try:
        answer = subprocess.run(("nvidia-smi", "-L"), capture_output=True, encoding="utf-8", timeout=30, check=False)  # noqa: S607
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_gpu_list(answer.stdout) if answer.returncode == 0 else []


def parse_gpu_list(listing: str) -> list[str]:
    """Return the UUIDs in the output of `nvidia-smi -L`; the MIG instances of a GPU replace the GPU."""
    gpus: list[list[str]] = []
    for line in listing.splitlines():
        if match := re.search(r"\(UUID: ([^)]+)\)", line):
            if line.startswith("GPU"):
                gpus.append([match[1]])
            elif gpus:
                gpus[-1].append(match[1])
    return [uuid for gpu in gpus for uuid in (gpu[1:] or gpu)]


@dataclass(frozen=True)
class ResourceRequest:
    """The devices that a job must have to start.

    Args:
        gpus: the number of GPUs; the cores of a job with GPUs are not limited.
        cores: the number of CPU cores of a job without GPUs; None: all of its machine.
    """

    gpus: int = 0
    cores: int | None = 1

    def __str__(self) -> str:
        return f"{self.gpus} gpu" if self.gpus else f"{self.cores or 'all'} core"


@dataclass(frozen=True)
class Allocation:
    """The devices that a job holds while it runs.

    Args:
        gpus: entries of CUDA_VISIBLE_DEVICES.
        cores: the number of CPU cores of a job without GPUs.
    """

    gpus: tuple[str, ...] = ()
    cores: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables of the job's process. A job on the CPU sees no GPU."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)}

    def __str__(self) -> str:
        return f"gpu {','.join(self.gpus)}" if self.gpus else f"{self.cores} core{'s' if self.cores > 1 else ''}"


def requested_resources(config: Mapping[str, Any], num_gpus: int) -> ResourceRequest:
    """Return the request of a job.

    Args:
        config: the resolved config of the job.
        num_gpus: the number of GPUs that `trainer.accelerator=auto` and `trainer.devices=-1` select.
    """
    trainer = config["trainer"]
    number, accelerator = num_devices(trainer, num_gpus), trainer["accelerator"]
    if accelerator in ("gpu", "cuda") or (accelerator == "auto" and num_gpus > 0):
        return ResourceRequest(gpus=number)
    # Without a number of threads PyTorch has one for each core of the machine.
    threads = config.get("num_threads", 1)
    return ResourceRequest(cores=None if threads is None else max(1, number) * threads)


@dataclass
class Devices:
    """The devices of a machine, and the allocations that jobs hold.

    Args:
        gpus: entries of CUDA_VISIBLE_DEVICES.
        jobs_per_device: the number of jobs that share a GPU.
        cores: the number of CPU cores for jobs without GPUs.
    """

    gpus: list[str]
    jobs_per_device: int
    cores: int
    _held: list[Allocation] = field(default_factory=list)

    def allocate(self, request: ResourceRequest) -> Allocation | None:
        """Allocate the requested devices, or return None if they are not free.

        A request for more cores than the machine has is for all of them.
        """
        if request.gpus:
            held = [gpu for other in self._held for gpu in other.gpus]
            # The GPUs with the fewest jobs come first.
            free = sorted((gpu for gpu in self.gpus if held.count(gpu) < self.jobs_per_device), key=held.count)
            if len(free) < request.gpus:
                return None
            allocation = Allocation(gpus=tuple(free[: request.gpus]))
        else:
            cores = min(request.cores or self.cores, self.cores)
            if cores > self.cores - sum(other.cores for other in self._held):
                return None
            allocation = Allocation(cores=cores)
        self._held.append(allocation)
        return allocation

    def release(self, allocation: Allocation) -> None:
        """Release an allocation that `allocate` returned."""
        self._held.remove(allocation)

    def seconds_for(self, jobs: Sequence[tuple[ResourceRequest, float]], max_running: int | None) -> float:
        """Return the time in which these free devices run jobs, the longest first.

        Args:
            jobs: the request of each job, and its time in seconds.
            max_running: the number of jobs that run at once; with None only the devices limit it.
        """
        waiting = sorted(jobs, key=lambda job: job[1], reverse=True)
        running: list[tuple[float, int, Allocation]] = []
        time, number = 0.0, itertools.count()
        while waiting or running:
            left: list[tuple[ResourceRequest, float]] = []
            refused: set[ResourceRequest] = set()
            for request, seconds in waiting:
                is_full = max_running is not None and len(running) >= max_running
                allocation = None if is_full or request in refused else self.allocate(request)
                if allocation is None:
                    refused.add(request)
                    left.append((request, seconds))
                else:
                    heapq.heappush(running, (time + seconds, next(number), allocation))
            waiting = left
            time, _, ended = heapq.heappop(running)
            self.release(ended)
        return time
