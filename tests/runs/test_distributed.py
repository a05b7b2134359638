"""The number of ranks, and the record of rank 0."""

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import InterruptedRunError, UserError
from rnnexp.runs.distributed import (
    global_rank,
    is_rank,
    num_ranks,
    num_ranks_to_start,
    recorded_by_rank_zero,
)
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.status import Status


@pytest.fixture
def run(tmp_path: Path) -> RunDirectory:
    made = RunDirectory.create_at(tmp_path / "run")
    made.freeze({"seed": 1}, [])
    return made


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


@pytest.mark.parametrize("name", ["LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_PORT"])
def test_a_variable_that_is_not_a_number_is_named(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    for variable, value in {"LOCAL_RANK": "0", name: "abc"}.items():
        monkeypatch.setenv(variable, value)
    with pytest.raises(UserError, match=f"^{name}=abc is not a number"):
        num_ranks_to_start(trainer(devices=1))


@pytest.mark.parametrize("name", ["RANK", "SLURM_PROCID"])
def test_a_process_that_trains_alone_is_rank_zero(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setenv(name, "3")
    assert global_rank() == 0


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
