"""The machine during a measurement: whether other programs used its processors, and how much memory a call takes."""

import ctypes
import gc
import os
import re
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

IDLE_CORES = 0.1
"""Cores that other programs may use, in a mean over the measurement, on a machine that is called idle."""
BUSY_FIELDS = (0, 1, 2, 5, 6)
"""Fields of /proc/stat with the time of processes: user, nice, system, irq, softirq."""


class MachineUse:
    """The use of the processors by other programs, from the construction of the object on."""

    def __init__(self) -> None:
        self._start = time.monotonic(), _busy_seconds(), _own_seconds()
        self._load_at_start = _load_average()

    def describe(self) -> dict[str, Any]:
        """Return the cores that other programs used in a mean, the load averages, and whether the machine was idle.

        `other_cores` and `is_idle` are None where the system does not report the time of all processes.
        """
        elapsed, busy, own = time.monotonic(), _busy_seconds(), _own_seconds()
        start, busy_at_start, own_at_start = self._start
        others = None
        if busy is not None and busy_at_start is not None:
            others = max(0.0, (busy - busy_at_start - (own - own_at_start)) / max(elapsed - start, 1e-9))
        return {
            "is_idle": None if others is None else others < IDLE_CORES,
            "other_cores": None if others is None else round(others, 3),
            "load_average_at_start": self._load_at_start,
            "load_average_at_end": _load_average(),
        }


def idleness(use: dict[str, Any]) -> str:
    """Return a line about a machine that was not idle, or may not have been; empty for one that was."""
    if use["is_idle"]:
        return ""
    if use["is_idle"] is None:
        return f"whether other programs ran is unknown here (load average {use['load_average_at_end']})"
    return (
        f"the machine was not idle: other programs used {use['other_cores']:.2f} of {os.cpu_count()} cores, so the "
        "times are longer than those of this machine alone"
    )


def _busy_seconds() -> float | None:
    """Return the time that all processes have used, None where the system does not report it."""
    try:
        fields = Path("/proc/stat").read_text(encoding="utf-8").split("\n", 1)[0].split()[1:]
        return sum(int(fields[place]) for place in BUSY_FIELDS) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None


def _own_seconds() -> float:
    return sum(os.times()[:4])


def _load_average() -> float | None:
    return round(os.getloadavg()[0], 2) if hasattr(os, "getloadavg") else None


def peak_growth(call: Callable[[], object], device: torch.device) -> int | None:
    """Return the most memory in bytes that a call takes beside what was in use before it.

    On a GPU it is the growth of what PyTorch has allocated. On Linux it is the growth of the resident memory of this
    process (VmHWM above VmRSS in /proc/self/status) after free memory was returned to the system; the resolution is
    about 0.1 MiB. On other systems it is None.
    """
    gc.collect()
    if device.type == "cuda":
        before = torch.cuda.memory_allocated(device)
        torch.cuda.reset_peak_memory_stats(device)
        call()
        torch.cuda.synchronize(device)
        return max(0, torch.cuda.max_memory_allocated(device) - before)
    try:
        # Else the call would find pages that this process has freed but not returned.
        ctypes.CDLL(None).malloc_trim(0)
        Path("/proc/self/clear_refs").write_text("5", encoding="utf-8")
        before = _memory("VmRSS")
        call()
        return max(0, _memory("VmHWM") - before)
    except (OSError, AttributeError, TypeError):
        return None


def _memory(name: str) -> int:
    status = Path("/proc/self/status").read_text(encoding="utf-8")
    found = re.search(rf"{name}:\s+(\d+) kB", status)
    if found is None:
        raise OSError(f"/proc/self/status has no {name}")
    return int(found[1]) * 1024
