"""Signals are handled, blocked or deferred within a block, and handlers and masks are restored after it."""

import os
import signal
import subprocess
import sys
from contextlib import suppress

import pytest

from rnnexp.core.errors import InterruptedRunError, left_out_on_error
from rnnexp.core.signals import STOP_SIGNALS, blocked, deferred, handling, interrupted_by, name_of

PRINTS_MASK = "import signal; print(*sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())))"


def test_earlier_handlers_are_restored() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    received = []

    def fail() -> None:
        with handling(STOP_SIGNALS, lambda number, _: received.append(number)):
            os.kill(os.getpid(), signal.SIGTERM)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert received == [signal.SIGTERM]
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


def test_a_signal_interrupts_the_block() -> None:
    with (
        pytest.raises(InterruptedRunError, match=r"^interrupted by SIGTERM outside training$") as interrupted,
        interrupted_by([signal.SIGTERM], " outside training"),
    ):
        os.kill(os.getpid(), signal.SIGTERM)
    assert interrupted.value.exit_code == 143


def test_what_handles_errors_does_not_handle_a_signal() -> None:
    with (
        pytest.raises(InterruptedRunError),
        interrupted_by([signal.SIGTERM]),
        left_out_on_error("a figure"),
        suppress(Exception),
    ):
        os.kill(os.getpid(), signal.SIGTERM)


def test_a_blocked_signal_arrives_afterwards() -> None:
    received = []
    with handling([signal.SIGUSR1], lambda number, _: received.append(number)):
        with blocked([signal.SIGUSR1]):
            # To this thread: a signal to the process is delivered to any thread that does not block it.
            signal.raise_signal(signal.SIGUSR1)
            assert received == []
        assert received == [signal.SIGUSR1]
    assert signal.SIGUSR1 not in signal.pthread_sigmask(signal.SIG_BLOCK, set())


def test_a_deferred_signal_takes_effect_after_the_block() -> None:
    reached = []

    def interrupted() -> None:
        with deferred(STOP_SIGNALS):
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("the end of the block")
        reached.append("the line after the block")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached == ["the end of the block"]


def test_processes_started_in_a_deferred_block_inherit_the_mask() -> None:
    with deferred(STOP_SIGNALS):
        done = subprocess.run([sys.executable, "-c", PRINTS_MASK], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(int(number)) for number in STOP_SIGNALS]


def test_deferred_restores_handlers_and_mask_after_an_error() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]

    def failing() -> None:
        with deferred(STOP_SIGNALS):
            os.kill(os.getpid(), signal.SIGTERM)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(STOP_SIGNALS)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    """Ignored signals stay ignored: nohup ignores SIGHUP, and a shell SIGINT in the background."""
    received = []
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGHUP, signal.SIGINT)}
    try:
        with handling(STOP_SIGNALS, lambda number, _: received.append(number)):
            for number in before:
                signal.raise_signal(number)
            signal.raise_signal(signal.SIGXCPU)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    assert received == [signal.SIGXCPU]


def test_the_handler_of_somebody_else_stays() -> None:
    foreign, received = [], []
    before = signal.signal(signal.SIGUSR1, lambda number, _: foreign.append(number))
    try:
        with handling(STOP_SIGNALS, lambda number, _: received.append(number)):
            with handling(STOP_SIGNALS, lambda number, _: received.append(-number)):
                signal.raise_signal(signal.SIGUSR1)
                signal.raise_signal(signal.SIGUSR2)
            signal.raise_signal(signal.SIGUSR2)
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert (foreign, received) == ([signal.SIGUSR1], [-signal.SIGUSR2, signal.SIGUSR2])


def test_every_signal_that_ends_a_process_is_handled() -> None:
    named = {signal.SIGHUP, signal.SIGINT, signal.SIGQUIT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2}
    assert named | {signal.SIGXCPU, signal.SIGALRM, signal.SIGPROF, signal.SIGVTALRM, signal.SIGIO} <= STOP_SIGNALS
    assert not STOP_SIGNALS & {signal.SIGKILL, signal.SIGSTOP, signal.SIGCHLD, signal.SIGSEGV, signal.SIGWINCH}
    assert [name_of(number) for number in (signal.SIGHUP, signal.SIGRTMIN + 1)] == [
        "SIGHUP",
        f"signal {signal.SIGRTMIN + 1}",
    ]


def test_ctrl_c_during_imports_is_one_line() -> None:
    slow = "import sys, signal; sys.argv = ['-m']; import rnnexp; signal.raise_signal(signal.SIGINT)"
    done = subprocess.run([sys.executable, "-c", slow], capture_output=True, text=True, check=False)
    assert done.stderr == "rnnexp: interrupted\n"
    assert done.returncode == -signal.SIGINT


def test_a_library_leaves_exceptions_alone() -> None:
    code = "import rnnexp, sys; sys.exit(sys.excepthook is not sys.__excepthook__)"
    subprocess.run([sys.executable, "-c", code], check=True)
