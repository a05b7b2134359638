"""Signals that wait until a block has ended, in this process and in those that it starts."""

import os
import signal
import subprocess
import sys

import pytest

from rnnexp.core.signals import STOP_SIGNALS, deferred

PRINTS_MASK = "import signal; print(*sorted(signal.pthread_sigmask(signal.SIG_BLOCK, ())))"


def test_the_first_signal_takes_effect_after_the_block() -> None:
    reached = []

    def interrupted() -> None:
        with deferred(STOP_SIGNALS):
            os.kill(os.getpid(), signal.SIGINT)
            reached.append("the end of the block")
        reached.append("what follows it")

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert reached == ["the end of the block"]


def test_processes_that_start_in_the_block_inherit_it() -> None:
    with deferred(STOP_SIGNALS):
        done = subprocess.run([sys.executable, "-c", PRINTS_MASK], capture_output=True, text=True, check=True)
    assert done.stdout.split() == [str(int(number)) for number in STOP_SIGNALS]


def test_handlers_and_mask_are_restored_and_an_error_passes() -> None:
    before = [signal.getsignal(number) for number in STOP_SIGNALS]

    def failing() -> None:
        with deferred(STOP_SIGNALS):
            os.kill(os.getpid(), signal.SIGTERM)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        failing()
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before
    assert not signal.pthread_sigmask(signal.SIG_BLOCK, ()) & set(STOP_SIGNALS)
