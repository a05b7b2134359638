"""The time on a device, whose work is queued."""

import time

import torch


def now(device: torch.device) -> float:
    """Return the wall time in seconds when the device has finished its queued work."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    return time.perf_counter()
