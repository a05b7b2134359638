"""Signals are handled, blocked or deferred within a block, and handlers and masks are restored after it."""

import os
import signal
import subprocess
import sys

import pytest

from rnnexp.core.errors import InterruptedRunError
from rnnexp.core.signals import STOP_SIGNALS, blocked, deferred, handling, interrupted_by

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
