"""Logs that keep the first and the last part of what is written to them, so that no output fills a disk."""

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

KEPT_BYTES = 4 << 20
"""The size of the first part and, at least, of the last part that are kept of a log."""
MAX_BYTES = 3 * KEPT_BYTES
"""The size beyond which the middle of a log is dropped."""
POLL_SECONDS = 0.2
MARK = b"\n[rnnexp: the middle of this long output was dropped here]\n"
MAX_ROUNDS = 20
"""The number of rounds after which a writer that is faster than the copying is no longer followed."""


def drop_middle(path: Path) -> None:
    """Keep the first and the last part of a log that exceeds `MAX_BYTES`, and a line between them that says so.

    Other processes may append to it meanwhile. A log that cannot be shortened stays as it is.
    """
    with suppress(OSError):
        if path.stat().st_size > MAX_BYTES:
            with path.open("r+b", buffering=0) as file:
                _drop_middle(file.fileno())


def _drop_middle(file: int) -> None:
    target = KEPT_BYTES
    target += _write_all(file, MARK, target)
    source = os.fstat(file).st_size - KEPT_BYTES
    # Until the file has its new size the end is in its old place as well, since this process may be killed. The first
    # round copies what is kept, each other one what was appended during the one before.
    for _ in range(MAX_ROUNDS):
        if not (content := os.pread(file, KEPT_BYTES, source)):
            break
        source += len(content)
        target += _write_all(file, content, target)
    os.ftruncate(file, target)


def _write_all(file: int, content: bytes, position: int) -> int:
    """Write at a position, and return the number of bytes. Raise OSError if there is no room for them."""
    num_written = 0
    while num_written < len(content):
        num_written += os.pwrite(file, content[num_written:], position + num_written)
    return num_written


@contextmanager
def bounded_log(path: Path) -> Iterator[BinaryIO]:
    """Open a log to which this process and its children append, and drop its middle whenever it is too long.

    The file is a real one, not a pipe: what is written is kept when this process is killed.
    """
    ended = threading.Event()

    def watch() -> None:
        while not ended.wait(POLL_SECONDS):
            drop_middle(path)

    with path.open("ab") as file:
        threading.Thread(target=watch, name="bounded log", daemon=True).start()
        try:
            yield file
        finally:
            ended.set()
            drop_middle(path)
