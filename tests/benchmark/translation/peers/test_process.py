"""A process answers requests, and whatever goes wrong with it is one line."""

import math
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnexp.benchmark.translation.peers.process import Measured, PeerProcess
from rnnexp.benchmark.translation.peers.registry import PEERS

READY = 'print(json.dumps({"version": "1.0"}), flush=True)\n'
DRIVER = PEERS["joeynmt"].driver


def failure_of(python: str, directory: Path, seconds: float = 60) -> str | None:
    """Start a process, ask it once, and return what went wrong."""
    peer = PeerProcess(seconds)
    peer.start(python, DRIVER, directory)
    peer.wait_until_ready()
    assert peer.ask("decode") is None
    assert peer.ask("decode") is None, "a peer that failed is not asked again"
    peer.stop()
    return peer.failure


def test_each_request_is_answered(make_python: Callable[[str], str], tmp_path: Path) -> None:
    python = make_python(
        READY + 'for n, _ in enumerate(sys.stdin, 1): print(json.dumps({"seconds": 2, "amount": n}), flush=True)'
    )
    peer = PeerProcess(60)
    peer.start(python, DRIVER, tmp_path)
    peer.wait_until_ready()
    assert [peer.ask("decode") for _ in range(2)] == [pytest.approx((2, n, math.nan), nan_ok=True) for n in (1, 2)]
    assert peer.version == "1.0"
    assert peer.failure is None
    peer.stop()


def test_a_measurement_is_an_amount_per_second() -> None:
    assert Measured(seconds=2, amount=5).per_second == 2.5


@pytest.mark.parametrize(
    ("code", "failure"),
    [
        ("sys.exit(3)", "the process ended with exit code 3"),
        ("print('warning', file=sys.stderr); raise RuntimeError('no data')", "RuntimeError: no data"),
        ("print('hello')", "answered 'hello' instead of a JSON object"),
        ("print('[1]')", "answered '[1]' instead of a JSON object"),
        ("print('{}')", "answered {}, without a version"),
        (READY + "input(); sys.exit('killed')", "killed"),
        (READY + 'input(); print(\'{"seconds": 0, "amount": 1}\')', 'answered {"seconds": 0, "amount": 1}, which is'),
        (READY + "input(); print('{\"seconds\": 1}')", 'answered {"seconds": 1}, which is no measurement'),
        (READY + 'input(); print(\'{"seconds": null, "amount": 1}\')', 'answered {"seconds": null, "amount": 1}, whi'),
    ],
)
def test_a_failure_is_one_line(make_python: Callable[[str], str], tmp_path: Path, code: str, failure: str) -> None:
    found = failure_of(make_python(code), tmp_path)
    assert found is not None
    assert found.startswith(failure)
    assert "\n" not in found


def test_a_process_that_does_not_answer_is_ended(make_python: Callable[[str], str], tmp_path: Path) -> None:
    start = time.monotonic()
    assert failure_of(make_python("time.sleep(100)"), tmp_path, seconds=0.5) == "no answer within 0.5 s"
    assert time.monotonic() - start < 50


def test_a_missing_interpreter_is_named(tmp_path: Path) -> None:
    python = str(tmp_path / "none" / "python")
    assert failure_of(python, tmp_path) == f"{python}: No such file or directory"


@pytest.mark.parametrize("name", PEERS)
def test_an_interpreter_without_the_toolkit_says_so(name: str, tmp_path: Path) -> None:
    peer = PeerProcess(60)
    peer.start(sys.executable, PEERS[name].driver, tmp_path)
    peer.wait_until_ready()
    assert peer.failure == f"ModuleNotFoundError: No module named '{name}'"
