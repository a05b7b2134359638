"""Sockets are made in a short directory if TMPDIR is too long for them."""

import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from rnnexp.core.socket_directory import MAX_LENGTH, short_directory

PROGRAM = """
import multiprocessing.util, socket, tempfile
from rnnexp.core.socket_directory import use_short_socket_directory
use_short_socket_directory()
with socket.socket(socket.AF_UNIX) as made:
    made.bind(multiprocessing.util.get_temp_dir() + "/listener-12345678")
print(tempfile.gettempdir())
"""


def test_a_long_directory_is_used_for_files_only(tmp_path: Path) -> None:
    long = tmp_path / ("long" * 30)
    long.mkdir()
    environment = {"TMPDIR": str(long), "PYTHONPATH": ":".join(sys.path)}
    done = subprocess.run([sys.executable, "-c", PROGRAM], env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(long)


def test_a_short_directory_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * (MAX_LENGTH - 1))
    assert short_directory() is None
    monkeypatch.setattr(tempfile, "tempdir", "/" + "x" * MAX_LENGTH)
    assert short_directory() is not None
