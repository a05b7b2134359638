"""Context managers that set signal handlers and masks, and restore the earlier ones."""

import signal
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType

from rnnexp.core.errors import InterruptedRunError

Handler = Callable[[int, FrameType | None], object] | int | None
"""A handler for `signal.signal`, or one that `signal.getsignal` returns."""

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a program to save and end."""
GRACE_SECONDS = 20.0
"""The time between a stop signal and the kill, in which a process can save."""


@contextmanager
def handling(signals: Iterable[int], handler: Handler) -> Iterator[None]:
    """Handle signals with `handler` within the block, and restore the earlier handlers after it.

    Only the main thread may enter it.
    """
    previous = {number: signal.signal(number, handler) for number in signals}
    try:
        yield
    finally:
        for number, earlier in previous.items():
            signal.signal(number, earlier)


@contextmanager
def interrupted_by(signals: Iterable[int], when: str = "") -> Iterator[None]:
    """Raise InterruptedRunError within the block when one of the signals arrives.

    Args:
        signals: the numbers of the signals.
        when: the end of the message, ` outside training`.
    """

    def interrupt(number: int, _: FrameType | None) -> None:
        raise InterruptedRunError(f"interrupted by {signal.Signals(number).name}{when}", number)

    with handling(signals, interrupt):
        yield


@contextmanager
def blocked(signals: Iterable[int]) -> Iterator[None]:
    """Block signals in this thread within the block; those that arrive are delivered after it.

    Processes that are started within the block inherit the mask.
    """
    previous = signal.pthread_sigmask(signal.SIG_BLOCK, set(signals))
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, previous)


@contextmanager
def deferred(signals: Iterable[int]) -> Iterator[None]:
    """Defer signals to this process until the end of the block. Processes that are started within it inherit the mask.

    Only the main thread may enter it. The first of several signals takes effect; none does if the block raises.
    """
    numbers, received = tuple(signals), list[int]()
    # A mask belongs to one thread and a handler to the process: both are needed. Processes inherit the mask alone.
    with handling(numbers, lambda number, _: received.append(number)), blocked(numbers):
        yield
    if received:
        signal.raise_signal(received[0])
