"""Logs whose middle is dropped when they are too long."""

import subprocess
import sys
import time
from pathlib import Path

import pytest

from rnnexp.core.files.bounded_log import KEPT_BYTES, MARK, MAX_BYTES, POLL_SECONDS, bounded_log, drop_middle

NUM_LINES = 150_000
FLOOD = f"""import time
for n in range({NUM_LINES}):
    print(f'{{n:01023}}', flush=n % 1000 == 0)
    n % 10_000 or time.sleep(0.05)
print('the end')"""


def test_the_first_and_the_last_part_are_kept(tmp_path: Path) -> None:
    log = tmp_path / "output.log"
    lines = b"".join(b"%015d\n" % number for number in range(2 * MAX_BYTES // 16))
    log.write_bytes(lines[:MAX_BYTES])
    drop_middle(log)
    assert log.read_bytes() == lines[:MAX_BYTES]
    log.write_bytes(lines)
    drop_middle(log)
    assert log.read_bytes() == lines[:KEPT_BYTES] + MARK + lines[-KEPT_BYTES:]
    with log.open("ab") as file:
        file.write(lines)
    drop_middle(log)
    assert log.read_bytes() == lines[:KEPT_BYTES] + MARK + lines[-KEPT_BYTES:], "once is as good as twice"


def test_a_child_that_prints_without_end_never_fills_the_disk(tmp_path: Path) -> None:
    log, most = tmp_path / "output.log", 0
    with bounded_log(log) as file, subprocess.Popen([sys.executable, "-c", FLOOD], stdout=file) as child:
        while child.poll() is None:
            most = max(most, log.stat().st_size)
            time.sleep(POLL_SECONDS / 4)
    assert child.returncode == 0
    assert most < NUM_LINES * 1024 * 3 / 4
    content = log.read_bytes()
    assert len(content) <= MAX_BYTES
    assert content.startswith(b"%01023d\n" % 0)
    assert content.endswith(b"%01023d\nthe end\n" % (NUM_LINES - 1))
    assert content.count(MARK) == 1


def test_a_log_that_cannot_be_shortened_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drop_middle(tmp_path / "missing.log")
    log = tmp_path / "output.log"
    log.write_bytes(b"x" * (MAX_BYTES + 1))
    log.chmod(0o400)

    def full(*_: object) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.pwrite", full)
    drop_middle(log)
    assert log.stat().st_size == MAX_BYTES + 1
