"""The time on a device, whose work is queued."""

import time

import torch

_read = time.perf_counter


def use_cpu_time() -> None:
    """Let `now` return the CPU time of this process, which other processes of a machine change little."""
    global _read
    _read = time.process_time


def now(device: torch.device) -> float:
    """Return the time in seconds when the device has finished its queued work: wall time, see `use_cpu_time`."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return _read()
