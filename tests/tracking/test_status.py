"""The state in which an exception leaves a run."""

import signal

import pytest

from rnnexp.core.errors import DivergedError, InterruptedRunError, PrunedError, UnsupportedError, UserError
from rnnexp.tracking.status import Status, status_of


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
