"""Which devices there are, and which of them a job may use."""

import os
import re
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


def visible_gpus(environment: Mapping[str, str] = os.environ) -> list[str]:
    """What CUDA_VISIBLE_DEVICES may name, one entry a device: those it names already, else all that there are.

    An index, a GPU's UUID and a MIG instance's UUID are all the same here: words to hand on.
    """
    named = environment.get("CUDA_VISIBLE_DEVICES")
    if named is None:
        return _all_gpus()
    words = [word.strip() for word in named.split(",") if word.strip()]
    # As CUDA reads it: nothing behind the first -1 counts.
    return words[: words.index("-1")] if "-1" in words else words


def _all_gpus() -> list[str]:
    try:
        answer = subprocess.run(("nvidia-smi", "-L"), capture_output=True, text=True, timeout=30, check=False)  # noqa: S607
    except (OSError, subprocess.TimeoutExpired):
        return []
    return parse_gpu_list(answer.stdout) if answer.returncode == 0 else []


def num_cores() -> int:
    """Cores of the CPU that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def parse_gpu_list(listing: str) -> list[str]:
    """The UUIDs in the output of `nvidia-smi -L`; of a GPU that is cut into MIG instances, the instances'."""
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
    """What a job must have to start."""

    gpus: int = 0
    cores: int = 1


@dataclass(frozen=True)
class Allocation:
    """What a job holds while it runs. `gpus` are entries of CUDA_VISIBLE_DEVICES."""

    gpus: tuple[str, ...] = ()
    cores: int = 0

    @property
    def environment(self) -> dict[str, str]:
        """Variables of the job's process: a job on the CPU sees no GPU."""
        return {"CUDA_VISIBLE_DEVICES": ",".join(self.gpus)}

    def __str__(self) -> str:
        return f"gpu {','.join(self.gpus)}" if self.gpus else f"{self.cores} core{'s' if self.cores > 1 else ''}"


def need_of(config: Mapping[str, Any], num_gpus: int) -> ResourceRequest:
    """What a job with that resolved config must have, on a machine with that many GPUs."""
    trainer = config["trainer"]
    devices = trainer["devices"]
    count = len(devices) if isinstance(devices, list) else max(0, devices) if isinstance(devices, int) else 0
    accelerator = trainer["accelerator"]
    if accelerator in ("gpu", "cuda") or (accelerator == "auto" and num_gpus > 0):
        return ResourceRequest(gpus=count or num_gpus)
    return ResourceRequest(cores=max(1, count) * (config.get("num_threads") or 1))


@dataclass
class Devices:
    """The devices of a machine, of which jobs hold some.

    Args:
        gpus: entries of CUDA_VISIBLE_DEVICES.
        jobs_per_device: how many jobs share a GPU.
        cores: of the CPU, for jobs without a GPU.
    """

    gpus: list[str]
    jobs_per_device: int
    cores: int
    _held: list[Allocation] = field(default_factory=list)

    def allocation(self, need: ResourceRequest) -> Allocation | None:
        """Takes what a job needs; None if it is not free. A job that needs more cores than there are gets all."""
        if need.gpus:
            held = [gpu for allocation in self._held for gpu in allocation.gpus]
            # The least busy first.
            free = sorted((gpu for gpu in self.gpus if held.count(gpu) < self.jobs_per_device), key=held.count)
            if len(free) < need.gpus:
                return None
            granted = Allocation(gpus=tuple(free[: need.gpus]))
        else:
            cores = min(need.cores, self.cores)
            if cores > self.cores - sum(allocation.cores for allocation in self._held):
                return None
            granted = Allocation(cores=cores)
        self._held.append(granted)
        return granted

    def release(self, allocation: Allocation) -> None:
        self._held.remove(allocation)
