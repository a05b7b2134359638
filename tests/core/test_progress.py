"""Progress is shown as lines in a log and as a bar on a terminal."""

import math
import os
import pty
import re
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest

from rnnexp.core import progress as progress_module
from rnnexp.core.progress import Progress, Rate, format_duration, of_total


@pytest.mark.parametrize(
    ("seconds", "text"), [(0, "0:00"), (59.6, "1:00"), (61, "1:01"), (3600, "1:00:00"), (7325, "2:02:05")]
)
def test_durations(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@pytest.mark.parametrize(("total", "text"), [(10, "3/10"), (None, "3"), (-1, "3"), (math.inf, "3")])
def test_a_number_of_a_total(total: float | None, text: str) -> None:
    assert of_total(3, total) == text


def test_a_rate_before_and_after_something_is_done() -> None:
    rate = Rate()
    assert rate.seconds_left(10) is None
    time.sleep(0.05)
    rate.count(5)
    left = rate.seconds_left(10)
    assert left is not None
    assert 0.05 <= left < 5
    assert 1 < rate.per_second <= 100


def test_lines_come_at_intervals_with_rate_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(progress_module, "time", SimpleNamespace(monotonic=lambda: clock.now))
    lines: list[str] = []
    with Progress(
        "file", 4_000_000, "B", patience_seconds=0, interval_seconds=0.2, write_line=lines.append
    ) as progress:
        clock.now = 0.1
        progress.advance(1_000_000)
        progress.advance(100_000)  # too early for another line
        clock.now = 0.4
        progress.advance(900_000)
    assert lines == [
        "file: 1.0 of 4.0 MB (25%), 10.0 MB/s, about 0:00 left",
        "file: 2.0 of 4.0 MB (50%), 5.0 MB/s, about 0:00 left",
    ]


def test_work_of_unknown_size_shows_only_a_rate() -> None:
    lines: list[str] = []
    with Progress("translating", None, "sentences", patience_seconds=0, write_line=lines.append) as progress:
        progress.advance(1200)
    assert re.fullmatch(r"translating: 1,200 sentences, [\d,]+ sentences/s", lines[0])


def test_work_that_ends_early_is_not_reported() -> None:
    lines: list[str] = []
    with Progress("file", 10, "B", patience_seconds=60, write_line=lines.append) as progress:
        progress.advance(10)
    assert lines == []


def test_a_terminal_shows_a_bar() -> None:
    code = """
from rnnexp.core.progress import Progress
with Progress("file", 4_000_000, "B", patience_seconds=0) as progress:
    progress.advance(1_000_000)
    progress.advance(1_000_000)
"""
    terminal, other_end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "120"}
    subprocess.run([sys.executable, "-c", code], stderr=other_end, env=environment, check=True, timeout=60)
    os.close(other_end)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert "2.0 MB" in shown
    assert "MB/s" in shown
