"""The number of ranks, their supervision and their ends, with small processes instead of training."""

import os
import signal
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import InterruptedRunError, UserError
from rnnexp.runs import distributed
from rnnexp.runs.distributed import (
    global_rank,
    is_rank,
    num_ranks,
    num_ranks_to_start,
    recorded_by_rank_zero,
    supervise_ranks,
)
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.status import Status

RANK = """
import os, signal, sys, time
signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
print("rank", os.environ["RANK"], "of", os.environ["WORLD_SIZE"], flush=True)
{body}
"""


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    made = RunDirectory.create_at(tmp_path / "run")
    made.freeze({"seed": 1}, [])
    return made


def ranks_do(monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    monkeypatch.setattr(distributed, "frozen_command", lambda _: [sys.executable, "-c", RANK.format(body=body)])


def trainer(**values: Any) -> dict[str, Any]:
    return {"accelerator": "cpu", "devices": 1, "num_nodes": 1} | values


@pytest.mark.parametrize(("devices", "number"), [(1, 1), (3, 3), (0, 0), ([0, 1], 2), ("auto", 1), (-1, 1)])
def test_number_of_ranks(devices: Any, number: int) -> None:
    assert num_ranks(trainer(devices=devices)) == number


def test_ranks_are_started_once(monkeypatch: pytest.MonkeyPatch) -> None:
    assert num_ranks_to_start(trainer(devices=2)) == 2
    assert num_ranks_to_start(trainer(devices=1)) == 0
    for name, value in {"LOCAL_RANK": "1", "RANK": "1", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert is_rank()
    assert global_rank() == 1
    assert num_ranks_to_start(trainer(devices=2)) == 0
    with pytest.raises(UserError, match="2 processes were started"):
        num_ranks_to_start(trainer(devices=3))


def test_a_rank_of_srun(monkeypatch: pytest.MonkeyPatch) -> None:
    assert not is_rank()
    for name, value in {"SLURM_STEP_NUM_TASKS": "4", "SLURM_PROCID": "3", "SLURM_NTASKS": "4"}.items():
        monkeypatch.setenv(name, value)
    assert is_rank()
    assert global_rank() == 3


def test_ranks_that_end_well(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    ranks_do(monkeypatch, f"import json; open(r'{run.status_file}', 'w').write(json.dumps({{'status': 'done'}}))")
    assert supervise_ranks(run, 2) == 0
    assert run.rank_log_file(1).read_text(encoding="utf-8") == "rank 1 of 2\n"
    assert not run.rank_log_file(0).exists()


def test_a_failed_rank_ends_the_others(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(distributed, "GRACE_SECONDS", 0.5)
    ranks_do(monkeypatch, "sys.exit(3) if os.environ['RANK'] == '1' else time.sleep(60)")
    start = time.monotonic()
    assert supervise_ranks(run, 3) != 0
    assert time.monotonic() - start < 20
    assert run.status == Status.FAILED
    assert "exit codes -9, 3, -9" in run.read_status()["reason"]


@pytest.mark.parametrize("after_rank", [0, 1])
def test_a_signal_that_arrives_while_ranks_start(
    run: RunDirectory, monkeypatch: pytest.MonkeyPatch, after_rank: int
) -> None:
    ranks_do(monkeypatch, "time.sleep(60)")
    opened = RunDirectory.rank_log_file
    before = signal.getsignal(signal.SIGTERM)

    def signalled(directory: RunDirectory, rank: int) -> Path:
        if rank == after_rank + 1:
            # Long enough for the started ranks to handle the signal.
            time.sleep(1)
            os.kill(os.getpid(), signal.SIGTERM)
        return opened(directory, rank)

    monkeypatch.setattr(RunDirectory, "rank_log_file", signalled)
    start = time.monotonic()
    assert supervise_ranks(run, 3) == 143
    assert time.monotonic() - start < 15, "a rank was missed and had to be killed"
    assert run.status == Status.INTERRUPTED
    assert signal.getsignal(signal.SIGTERM) == before


def test_sigterm_before_training_is_recorded(run: RunDirectory) -> None:
    before = signal.getsignal(signal.SIGTERM)

    def record() -> None:
        with recorded_by_rank_zero(run):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(1)

    with pytest.raises(InterruptedRunError, match="SIGTERM"):
        record()
    assert run.status == Status.INTERRUPTED
    assert signal.getsignal(signal.SIGTERM) == before


def test_other_ranks_record_nothing(run: RunDirectory, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("LOCAL_RANK", "1")
    with recorded_by_rank_zero(run):
        assert run.status == Status.QUEUED
    assert run.status == Status.QUEUED
