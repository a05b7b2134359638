"""The states of a run."""

from collections.abc import Mapping
from enum import StrEnum
from typing import NamedTuple

from rnnexp.core.errors import (
    DivergedError,
    InterruptedRunError,
    PrunedError,
    UnsupportedError,
    is_out_of_memory,
)


class Status(StrEnum):
    """The state of a run or of a job of a sweep, as status.json and reports name it."""

    NEW = "new"
    """A job without a run directory."""
    WAITING = "waiting"
    """A job that has not been passed to a backend yet, or was never started because its sweep stopped."""
    QUEUED = "queued"
    """Its config is frozen; it has not begun."""
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"
    UNSUPPORTED = "unsupported"
    """This cell, device and precision cannot run together."""
    DIVERGED = "diverged"
    """The loss became NaN or infinite."""
    PRUNED = "pruned"
    """A search ended it early."""
    INTERRUPTED = "interrupted"
    """A signal ended it; it can be continued."""
    UNREADABLE = "unreadable"
    """Its files are damaged."""
    MISSING = "missing"
    """Its sweep lists it, but its directory does not exist."""

    @property
    def is_final(self) -> bool:
        """Whether the job would end in the same state if it ran again."""
        return self in (Status.DONE, Status.DIVERGED, Status.PRUNED)

    @property
    def is_live(self) -> bool:
        """Whether a process may be working on it or will be."""
        return self in (Status.QUEUED, Status.RUNNING)

    @property
    def is_failure(self) -> bool:
        """Whether it ended without a result that counts."""
        return self in (
            Status.FAILED,
            Status.UNSUPPORTED,
            Status.DIVERGED,
            Status.PRUNED,
            Status.INTERRUPTED,
            Status.UNREADABLE,
        )


class RunState(NamedTuple):
    """The state of a run, as any process observes it."""

    status: Status
    reason: str = ""
    since: str = ""
    """the time at which it reached the status, ISO 8601"""
    config_hash: str = ""


ENDS: Mapping[type[BaseException], Status] = {
    UnsupportedError: Status.UNSUPPORTED,
    DivergedError: Status.DIVERGED,
    PrunedError: Status.PRUNED,
    InterruptedRunError: Status.INTERRUPTED,
    KeyboardInterrupt: Status.INTERRUPTED,
}
"""The exceptions that end a run with a status of their own; any other exception means `failed`."""


def status_of(error: BaseException) -> Status:
    """Return the state of a run that an exception ended."""
    return next((status for kind, status in ENDS.items() if isinstance(error, kind)), Status.FAILED)


TRANSIENT_NAMES = ("DistBackendError", "DistNetworkError", "DistStoreError")
"""Exceptions of PyTorch whose cause may be transient, by name, since this package does not import torch."""
TRANSIENT_MESSAGE = "DataLoader worker"
"""A part of the message of a RuntimeError of PyTorch that has no class of its own."""


def may_be_transient(error: BaseException) -> bool:
    """Return whether the cause of an exception may have passed when the run starts again.

    Signals, errors of the operating system and a lack of memory are about the machine at that moment. A mistake in the
    config, a diverging loss and a bug repeat.
    """
    if is_out_of_memory(error) or (isinstance(error, RuntimeError) and TRANSIENT_MESSAGE in str(error)):
        return True
    names = {kind.__name__ for kind in type(error).__mro__}
    is_of_machine = isinstance(error, OSError | InterruptedRunError | KeyboardInterrupt)
    return is_of_machine or not names.isdisjoint(TRANSIENT_NAMES)
