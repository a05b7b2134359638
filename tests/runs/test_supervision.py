"""The supervision of ranks and their ends, with small processes instead of training."""

import os
import signal
import sys
import time
from pathlib import Path

import pytest

from rnnexp.core.errors import InterruptedRunError
from rnnexp.runs import supervision
from rnnexp.runs.supervision import RanksError, supervise_ranks
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.status import Status

RANK = """
import os, signal, subprocess, sys, time
signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
print("rank", os.environ["RANK"], "of", os.environ["WORLD_SIZE"], flush=True)
rank = int(os.environ["RANK"])
{body}
"""
IS_DONE = "import json; open(r'{}', 'w').write(json.dumps(dict(status='done')))"


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    made = RunDirectory.create_at(tmp_path / "run")
    made.freeze({"seed": 1}, [])
    return made


def ranks_do(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setattr(supervision, "frozen_command", lambda _: [sys.executable, "-c", RANK.format(body=body)])


def test_ranks_that_end_well(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks_do(monkeypatch, IS_DONE.format(run.status_file))
    assert supervise_ranks(run, 2) == 0
    assert run.rank_log_file(1).read_text(encoding="utf-8") == "rank 1 of 2\n"
    assert not run.rank_log_file(0).exists()


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("sys.exit(3) if rank == 1 else time.sleep(60)", "rank 1 ended with exit code 3"),
        ("os.kill(os.getpid(), signal.SIGKILL) if rank == 2 else time.sleep(60)", "rank 2 was killed by SIGKILL"),
        # The others lose their connection to it, and end first.
        (f"time.sleep(1); os.kill(os.getpid(), 9) if rank == 1 else sys.exit({supervision.LOST_PEER})", "rank 1 was"),
        ("os.kill(os.getpid(), signal.SIGSTOP) if rank == 0 else time.sleep(60)", "rank 0 did not continue"),
    ],
)
def test_a_rank_that_fails_ends_the_others(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, body: str, reason: str
) -> None:
    monkeypatch.setattr(supervision, "GRACE_SECONDS", 0.5)
    monkeypatch.setattr(supervision, "STOPPED_SECONDS", 0.5)
    ranks_do(monkeypatch, body)
    start = time.monotonic()
    with pytest.raises(RanksError, match=f"^{reason}.*; continue with ") as raised:
        supervise_ranks(run, 3)
    assert time.monotonic() - start < 30
    assert (run.status, run.read_status()["reason"]) == (Status.FAILED, str(raised.value))


def test_a_rank_that_was_stopped_for_a_moment_continues(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    waker = "subprocess.Popen(['sh', '-c', f'sleep 1; kill -CONT {os.getpid()}'])"
    ranks_do(monkeypatch, f"{waker}; os.kill(os.getpid(), signal.SIGSTOP); {IS_DONE.format(run.status_file)}")
    assert supervise_ranks(run, 2) == 0


def test_children_of_ranks_end_with_them(run: RunDirectory, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(supervision, "GRACE_SECONDS", 0.5)
    child = "open(f'{rank}', 'w').write(str(subprocess.Popen(['sleep', '300']).pid))"
    monkeypatch.chdir(tmp_path)
    ranks_do(monkeypatch, f"{child}; os.kill(os.getpid(), signal.SIGKILL)")
    with pytest.raises(RanksError):
        supervise_ranks(run, 2)
    for rank in ("0", "1"):
        assert ended(int((tmp_path / rank).read_text(encoding="utf-8")))


def ended(process_id: int) -> bool:
    """Return whether a process ends within seconds; nobody may have read its exit status."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if "\nState:\tZ" in Path(f"/proc/{process_id}/status").read_text(encoding="utf-8"):
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.1)
    return False


@pytest.mark.parametrize("after_rank", [0, 1])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_that_arrives_while_ranks_start(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, after_rank: int, number: signal.Signals
) -> None:
    ranks_do(monkeypatch, "time.sleep(60)")
    opened = RunDirectory.rank_log_file
    before = signal.getsignal(number)

    def signalled(directory: RunDirectory, rank: int) -> Path:
        if rank == after_rank + 1:
            # Long enough for the started ranks to handle the signal.
            time.sleep(1)
            os.kill(os.getpid(), number)
        return opened(directory, rank)

    monkeypatch.setattr(RunDirectory, "rank_log_file", signalled)
    start = time.monotonic()
    with pytest.raises(InterruptedRunError, match=f"^interrupted by {number.name} outside training") as raised:
        supervise_ranks(run, 3)
    assert raised.value.exit_code == 128 + number
    assert time.monotonic() - start < 15, "a rank was missed and had to be killed"
    assert run.status == Status.INTERRUPTED
    assert signal.getsignal(number) == before
