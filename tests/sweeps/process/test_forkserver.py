"""A question to a process of the server from which jobs are forked."""

import os
import signal
import time
from multiprocessing import forkserver
from threading import Timer

import pytest

from rnnexp.sweeps.process.forkserver import ask, start_server
from support.sweeps import wait_for


def answer(number: int) -> int:
    return 2 * number


def sleep() -> None:
    time.sleep(600)


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def server() -> int:
    start_server()
    pid: int = forkserver._forkserver._forkserver_pid  # type: ignore[attr-defined]
    return pid


def test_an_answer() -> None:
    assert ask(answer, 21, seconds=120) == 42


def test_no_answer_in_time_or_from_a_process_that_was_killed() -> None:
    with pytest.raises(TimeoutError):
        ask(sleep, seconds=0.1)
    with pytest.raises(EOFError):
        ask(die, seconds=120)


def test_a_server_that_is_killed_gives_no_answer_and_another_one_follows() -> None:
    first = server()
    os.kill(first, signal.SIGSTOP)
    Timer(0.5, os.kill, (first, signal.SIGKILL)).start()
    with pytest.raises(EOFError):
        ask(answer, 1, seconds=120)
    wait_for(lambda: server() != first)
    assert ask(answer, 1, seconds=120) == 2
