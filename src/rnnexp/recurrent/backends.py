"""The backends of a stack, and the choice of the fastest from measurements.

`backends.json` is written by `python -m rnnexp.benchmark.backends`. A row holds the milliseconds of the forward and
backward pass of one layer by backend, for one step, device, precision, hidden size, shape of the batch and number of
threads.
"""

import json
from collections.abc import Sequence
from functools import cache
from math import exp, log
from pathlib import Path
from statistics import fmean
from typing import Any

import torch
from torch import Tensor

from rnnexp.core.validation import validate_choice
from rnnexp.recurrent.cells import Cell

BACKENDS = ("auto", "fused", "batched", "parallel", "graph", "reference")
MEASURED = Path(__file__).with_name("backends.json")
NOISE = 0.03
"""Ratios of times that differ from 1 by less are not resolved."""


def require_backend(cell: Cell, name: str, backend: str) -> None:
    """Raise ValueError for an unknown backend, and for one that a cell does not have."""
    validate_choice("backend", backend, BACKENDS)
    if backend == "fused" and cell.fused is None:
        raise ValueError(f"cell {name} has no fused kernel: use backend=auto or reference")
    if backend == "batched" and cell.batched is None:
        raise ValueError(f"cell {name} has no step written by hand: use backend=auto or reference")
    if backend == "parallel" and cell.coefficients is None:
        raise ValueError(f"cell {name} is not linear in h: use backend=auto or reference")


def choose_backend(cell: Cell, backend: str, hidden_size: int, x: Tensor) -> str:
    """Return the backend that runs a batch x: `fused`, `batched`, `parallel`, `graph` or `reference`.

    `auto` chooses `parallel` for cells that are linear in h. It chooses `batched` where measurements show that it is
    faster, and only for training: its gain is in the backward pass. On CUDA it chooses `graph` for cells without a
    kernel, and in bfloat16, which cuDNN computes slowly, and under autocast not at all: it computes in float16 then.
    Under autocast `batched` does not run, since its buffers have the type of x.
    """
    device = x.device.type
    is_mixed = torch.is_autocast_enabled(device)
    if backend != "auto":
        return "reference" if is_mixed and backend == "batched" else backend
    if cell.coefficients is not None and x.shape[1] > 1:
        return "parallel"
    # A cell of the user may have a step of the same name.
    if cell.batched is not None and torch.is_grad_enabled() and not is_mixed:
        precision = str(x.dtype).removeprefix("torch.")
        if _batched_is_fastest(cell.step.__name__, device, precision, hidden_size, x.shape[1]):
            return "batched"
    if device != "cuda":
        return "reference" if cell.fused is None else "fused"
    dtype = torch.get_autocast_dtype(device) if is_mixed else x.dtype
    return "graph" if cell.fused is None or dtype == torch.bfloat16 else "fused"


@cache
def _batched_is_fastest(step: str, device: str, precision: str, hidden_size: int, num_steps: int) -> bool:
    # The decoder asks at every step.
    return batched_is_faster(measurements(step, device, precision), hidden_size, num_steps)


def batched_is_faster(rows: Sequence[dict[str, Any]], hidden_size: int, num_steps: int) -> bool:
    """Return whether `batched` was the fastest backend at the measured sizes that are nearest to others.

    It must be faster in the geometric mean over shapes and threads, and slower in none, by more than `NOISE`.
    """
    ratios = [
        min(time for backend, time in row["milliseconds"].items() if backend != "batched")
        / row["milliseconds"]["batched"]
        for row in _nearest(_nearest(rows, "hidden_size", hidden_size), "steps", num_steps)
    ]
    return bool(ratios) and min(ratios) > 1 - NOISE and exp(fmean(map(log, ratios))) > 1 + NOISE


def _nearest(rows: Sequence[dict[str, Any]], key: str, value: int) -> list[dict[str, Any]]:
    """Return the rows whose value differs by the smallest factor from another, or by about as much."""
    factors = [abs(log(row[key] / value)) for row in rows]
    return [row for row, factor in zip(rows, factors, strict=True) if factor < min(factors) + log(1.5)]


@cache
def measurements(step: str, device: str, precision: str) -> tuple[dict[str, Any], ...]:
    """Return the rows of one step, device and precision."""
    key = {"step": step, "device": device, "precision": precision}
    rows = json.loads(MEASURED.read_text(encoding="utf-8"))["rows"]
    return tuple(row for row in rows if row.items() >= key.items())
