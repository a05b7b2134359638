"""The checkpoint to continue from is the latest that is exactly as it was written."""

import io
import logging
import os
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rnnexp.callbacks.checkpoints import WholeCheckpoints
from rnnexp.core.files.sealed_archive import is_whole, sealed
from rnnexp.runs.frozen.last_checkpoint import put_damaged_checkpoints_aside, resumable_checkpoint
from rnnexp.tracking.run_directory import RunDirectory


@pytest.fixture
def saved(tmp_path: Path) -> RunDirectory:
    """A run directory whose last.ckpt was written twice."""
    run = RunDirectory(tmp_path)
    for step in (1, 2):
        WholeCheckpoints().save_checkpoint({"step": step, "weight": torch.ones(3)}, run.last_checkpoint)
    return run


def step_of(path: Path | None) -> int:
    assert path is not None
    return int(torch.load(path, weights_only=True)["step"])


def test_the_predecessor_is_kept(saved: RunDirectory) -> None:
    assert resumable_checkpoint(saved) == saved.last_checkpoint
    assert (step_of(saved.last_checkpoint), step_of(saved.previous_checkpoint)) == (2, 1)
    assert sorted(path.name for path in saved.checkpoints.iterdir()) == ["last.ckpt", "previous.ckpt"]


DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "cut short": lambda content: content[:-1],
    "half": lambda content: content[: len(content) // 2],
    "no archive": lambda _: b"<html>404</html>",
    "zeros": lambda content: bytes(len(content)),
    "something appended": lambda content: content + b"\0",
    "another archive": lambda _: unsealed(),
}


def unsealed() -> bytes:
    buffer = io.BytesIO()
    torch.save({"step": 3}, buffer)
    return buffer.getvalue()


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_put_aside(saved: RunDirectory, damage: str, caplog: pytest.LogCaptureFixture) -> None:
    damaged = DAMAGES[damage](saved.last_checkpoint.read_bytes())
    saved.last_checkpoint.write_bytes(damaged)
    assert resumable_checkpoint(saved) == saved.previous_checkpoint
    with caplog.at_level(logging.WARNING):
        put_damaged_checkpoints_aside(saved)
    (line,) = caplog.messages
    assert str(saved.last_checkpoint) in line
    assert "previous.ckpt" in line
    assert step_of(resumable_checkpoint(saved)) == 1
    assert [path.read_bytes() for path in saved.checkpoints.glob("*.damaged")] == [damaged]


def test_every_flipped_bit_is_found(tmp_path: Path) -> None:
    """Also one in the directory of the archive, which zipfile reads and torch refuses."""
    path = tmp_path / "last.ckpt"
    content = sealed(unsealed())
    path.write_bytes(content)
    assert is_whole(path)
    assert step_of(path) == 3
    for place in range(0, len(content), 3):
        path.write_bytes(content[:place] + bytes([content[place] ^ 0b1000]) + content[place + 1 :])
        assert not is_whole(path), place


def test_a_run_without_checkpoints_begins_anew(tmp_path: Path) -> None:
    assert resumable_checkpoint(RunDirectory(tmp_path)) is None


def test_a_kill_between_two_renames_leaves_the_predecessor(saved: RunDirectory) -> None:
    saved.last_checkpoint.replace(saved.previous_checkpoint)
    assert step_of(resumable_checkpoint(saved)) == 2


def test_a_pipe_and_a_file_of_any_size_are_no_checkpoints(tmp_path: Path) -> None:
    """Neither stops the reader, nor is read into memory."""
    run = RunDirectory(tmp_path)
    run.checkpoints.mkdir()
    os.mkfifo(run.previous_checkpoint)
    with run.last_checkpoint.open("wb") as file:
        file.truncate(1 << 43)
    assert resumable_checkpoint(run) is None
