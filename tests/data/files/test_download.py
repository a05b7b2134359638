"""Downloads from a real server on this machine."""

import logging
import os
import pty
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import pytest

from rnnexp.core.progress import Progress
from rnnexp.data.files.compressed import BadFileError
from rnnexp.data.files.download import SourceError, download, download_files
from support.mirror import Mirror, serving

CONTENT = bytes(range(256)) * 8000


@pytest.fixture
def mirror() -> Iterator[Mirror]:
    with serving({"a": CONTENT, "b": b"b" * 300}) as server:
        yield server


def accept(_name: str, received: bytes, _url: str) -> bytes:
    return received


def test_each_file_comes_from_the_first_address_that_has_it(mirror: Mirror) -> None:
    addresses = [mirror.url("missing"), f"{mirror.url('good')}/"]
    assert dict(download_files(["a", "b"], addresses, accept, 5)) == mirror.files
    assert mirror.asked == ["/missing/a", "/good/a", "/good/b"]  # an address that failed is not asked again


def test_a_file_that_is_not_accepted_is_a_reason(mirror: Mirror) -> None:
    def refuse_b(name: str, received: bytes, url: str) -> bytes:
        if name == "b":
            raise BadFileError(f"{url}: refused")
        return received

    files = download_files(["a", "b"], [mirror.url("good")], refuse_b, 5)
    assert next(iter(files)) == ("a", CONTENT)
    with pytest.raises(SourceError, match="/good/b: refused"):
        list(files)
    with pytest.raises(SourceError, match="no address given"):
        list(download_files(["a"], [], accept, 5))


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("missing", "HTTP 404 Not Found"),
        ("cut", "truncated: 150 of 300 bytes received"),
        ("stall", "silent for 0.3 s after 100 bytes"),
    ],
)
def test_a_download_that_fails_names_the_address(mirror: Mirror, manner: str, reason: str) -> None:
    with pytest.raises(SourceError) as caught:
        download(f"{mirror.url(manner)}/b", 0.3)
    assert str(caught.value) == f"{mirror.url(manner)}/b: {reason}"


def test_quick_download_is_silent(mirror: Mirror, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO):
        assert download(f"{mirror.url('slow')}/a", 5) == CONTENT
    assert caplog.messages == []


def test_long_download_reports_rate_and_time_left(
    mirror: Mirror, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    impatient = partial(Progress, patience_seconds=0, interval_seconds=0)
    monkeypatch.setattr("rnnexp.data.files.download.Progress", impatient)
    url = f"{mirror.url('slow')}/a"
    with caplog.at_level(logging.INFO):
        download(url, 5)
    number = r"(\d+\.\d)"
    pattern = rf"downloading {url}: {number} MB of 2\.0 MB \((\d+)%\), {number} MB/s, about (\d+):\d\d left"
    matches = [re.fullmatch(pattern, message) for message in caplog.messages]
    assert len(matches) > 2
    assert all(matches)
    done = [float(match[1]) for match in matches if match]
    assert done == sorted(done)
    assert done[-1] == 2.0
    last = matches[-1]
    assert last
    assert last[2] == "100"
    assert 0 < float(last[3]) <= 4.1  # the server waits for half a second
    assert last[4] == "0"


def test_a_terminal_shows_a_bar(mirror: Mirror) -> None:
    code = """
import sys
from functools import partial
from rnnexp.core.progress import Progress
from rnnexp.data.files import download
download.Progress = partial(Progress, patience_seconds=0)
download.download(sys.argv[1], 5)
"""
    terminal, other_end = pty.openpty()
    environment = {**os.environ, "TERM": "xterm", "COLUMNS": "160"}
    command = [sys.executable, "-c", code, f"{mirror.url('slow')}/a"]
    subprocess.run(command, stderr=other_end, env=environment, check=True, timeout=60)
    os.close(other_end)
    shown = os.read(terminal, 65536).decode()
    os.close(terminal)
    assert "2.0 MB" in shown
    assert "MB/s" in shown
