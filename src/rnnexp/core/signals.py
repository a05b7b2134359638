"""Context managers that set signal handlers and masks, and restore the earlier ones."""

import signal
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from types import FrameType, TracebackType

from rnnexp.core.errors import InterruptedRunError

Handler = Callable[[int, FrameType | None], object] | int | None
"""A handler for `signal.signal`, or one that `signal.getsignal` returns."""

STOP_SIGNALS = frozenset(signal.valid_signals()) - {
    # They stop or continue a process, or are ignored by default; those of SIGPIPE and SIGXFSZ become errors of Python.
    *(signal.SIGKILL, signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU, signal.SIGCONT),
    *(signal.SIGCHLD, signal.SIGURG, signal.SIGWINCH, signal.SIGPIPE, signal.SIGXFSZ),
    # The process itself has failed, and must not go on.
    *(signal.SIGABRT, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGSEGV, signal.SIGSYS, signal.SIGTRAP),
    # macOS ignores them by default: that of Ctrl-T, which Linux lacks, and that of input that is ready.
    *(getattr(signal, name) for name in ("SIGIO", "SIGINFO") if sys.platform == "darwin"),
}
"""Signals that end a process by default, and on which a program saves: a terminal that closes (SIGHUP), a scheduler's
warning (SIGUSR1, SIGUSR2), a limit of CPU time (SIGXCPU), Ctrl-C, Ctrl-\\, SIGTERM and others."""
STOP_SIGNALS_BUT_CTRL_C = STOP_SIGNALS - {signal.SIGINT}
"""Those for which Python has no exception of its own."""
GRACE_SECONDS = 20.0
"""The time between a stop signal and the kill, in which a process can save."""


_handlers: dict[int, list[Handler]] = {}
"""The handlers that `handling` has set, by signal, the innermost last."""


@contextmanager
def handling(signals: Iterable[int], handler: Handler) -> Iterator[None]:
    """Handle signals with `handler` within the block, and restore the earlier handlers after it.

    A signal that the process ignores stays ignored: nohup ignores SIGHUP, and a shell SIGINT in the background. So does
    a handler that something else has set for a signal other than SIGINT and SIGTERM.

    Only the main thread may enter it.
    """
    previous = {number: signal.getsignal(number) for number in signals}
    previous = {number: earlier for number, earlier in previous.items() if _is_replaceable(number, earlier)}
    for number in previous:
        signal.signal(number, handler)
        _handlers.setdefault(number, []).append(handler)
    try:
        yield
    finally:
        for number, earlier in previous.items():
            signal.signal(number, earlier)
            _handlers[number].pop()


def _is_replaceable(number: int, handler: Handler) -> bool:
    if number in (signal.SIGINT, signal.SIGTERM):
        return handler not in (signal.SIG_IGN, None)
    return handler == signal.SIG_DFL or handler in _handlers.get(number, ())


def end_in_one_line_after_ctrl_c() -> None:
    """Print one line instead of a traceback for a Ctrl-C that nothing handles. The process still ends by SIGINT."""
    before = sys.excepthook

    def print_line(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if issubclass(kind, KeyboardInterrupt):
            print("rnnexp: interrupted", file=sys.stderr)
        else:
            before(kind, error, trace)

    sys.excepthook = print_line


def name_of(number: int) -> str:
    """Return the name of a signal; most of the real-time signals have only a number."""
    return signal.Signals(number).name if number in set(signal.Signals) else f"signal {number}"


def exit_reason(code: int) -> str:
    """Return how a process with that exit code ended; codes below 0 are signals, as in `subprocess`."""
    if code >= 0:
        return f"ended with exit code {code}"
    return f"killed by {name_of(-code)}" + " (possibly out of memory)" * (code == -signal.SIGKILL)


@contextmanager
def interrupted_by(signals: Iterable[int], when: str = "") -> Iterator[None]:
    """Raise InterruptedRunError within the block when one of the signals arrives.

    Args:
        signals: the numbers of the signals.
        when: the end of the message, ` outside training`.
    """

    def interrupt(number: int, _: FrameType | None) -> None:
        raise InterruptedRunError(f"interrupted by {name_of(number)}{when}", number)

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
