"""The state in which an exception leaves a run."""

import errno
import signal

import pytest
import torch

from rnnexp.core.errors import DivergedError, InterruptedRunError, PrunedError, UnsupportedError, UserError
from rnnexp.tracking.status import Status, may_be_transient, status_of


@pytest.mark.parametrize(
    ("error", "status"),
    [
        (UnsupportedError("x"), Status.UNSUPPORTED),
        (DivergedError("x"), Status.DIVERGED),
        (PrunedError("x"), Status.PRUNED),
        (InterruptedRunError("x", signal.SIGTERM), Status.INTERRUPTED),
        (KeyboardInterrupt(), Status.INTERRUPTED),
        (UserError("x"), Status.FAILED),
        (ZeroDivisionError(), Status.FAILED),
    ],
)
def test_status_of_an_exception(error: BaseException, status: Status) -> None:
    assert status_of(error) is status


@pytest.mark.parametrize(
    ("error", "answer"),
    [
        (InterruptedRunError("x", signal.SIGTERM), True),
        (OSError(errno.EIO, "x"), True),
        (MemoryError(), True),
        (torch.OutOfMemoryError("x"), True),
        (RuntimeError("CUDA error: out of memory\nSearch for `cudaErrorMemoryAllocation'"), True),
        (RuntimeError("DataLoader worker (pid 7) is killed by signal: Killed."), True),
        (RuntimeError("shapes differ"), False),
        (UserError("x"), False),
        (DivergedError("x"), False),
        (ZeroDivisionError(), False),
    ],
)
def test_a_cause_that_may_be_transient(error: BaseException, answer: bool) -> None:
    assert may_be_transient(error) is answer
