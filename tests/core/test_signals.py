"""Signal handlers and masks are put back."""

import os
import signal

import pytest

from rnnexp.core.signals import STOP_SIGNALS, blocked, handling


def test_the_earlier_handlers_come_back() -> None:
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


def test_a_blocked_signal_arrives_afterwards() -> None:
    received = []
    with handling([signal.SIGUSR1], lambda number, _: received.append(number)):
        with blocked([signal.SIGUSR1]):
            os.kill(os.getpid(), signal.SIGUSR1)
            assert received == []
        assert received == [signal.SIGUSR1]
    assert signal.SIGUSR1 not in signal.pthread_sigmask(signal.SIG_BLOCK, set())
