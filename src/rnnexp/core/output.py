"""Standard output and standard error that never end a program: what is printed does not decide what is recorded."""

import contextlib
import errno
import io
import logging
import os
import select
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any


@contextlib.contextmanager
def silenced(level: int) -> Iterator[None]:
    """Show no warning, and no log message of up to a level, within the block."""
    before = logging.root.manager.disable
    logging.disable(level)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


_losses: list[OSError] = []


def require_complete_output() -> None:
    """Raise OSError if a part of what was printed was lost, but not because the reader of a pipe has ended."""
    sys.stdout.flush()
    for error in _losses:
        if error.errno != errno.EPIPE:
            raise error


class _LossyFile(io.FileIO):
    """The file of a stream. After the first error of the system, what is written is dropped."""

    def write(self, data: Any) -> int:  # noqa: ANN401 (a buffer)
        try:
            while (written := super().write(data)) is None:
                # The reader of a pipe that does not block is behind.
                select.select([], [self], [])
        except OSError as error:
            if self.fileno() == 1:
                _losses.append(error)
            with Path(os.devnull).open("wb") as nowhere:
                os.dup2(nowhere.fileno(), self.fileno())
            return memoryview(data).nbytes
        return written


def keep_running_without_output() -> None:
    """Let the program go on if its output cannot be written: a pipe whose reader has ended, or a full disk.

    A standard stream that is closed is replaced by one that drops everything; a file that is opened later would get its
    number, and what is printed would be written into that file. A width of 0, as a terminal without a size has, would
    make tables empty; without it they have their usual width.
    """
    if os.environ.get("COLUMNS") == "0":
        del os.environ["COLUMNS"]
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            # The lowest free number is given.
            os.open(os.devnull, os.O_RDWR)
    for number, name in ((1, "stdout"), (2, "stderr")):
        before = getattr(sys, name)
        # A stream that somebody has replaced is not one of the system.
        if before is getattr(sys, f"__{name}__"):
            setattr(sys, name, _lossy(number, before))


def hide_advice_of_matplotlib() -> None:
    """Hide the lines that Matplotlib writes at its import where the home directory cannot be written to.

    It then keeps its cache in a temporary directory.
    """
    logging.getLogger("matplotlib").setLevel(logging.ERROR)


def _lossy(number: int, before: io.TextIOWrapper | None) -> io.TextIOWrapper:
    if before is not None:
        with contextlib.suppress(OSError):
            before.flush()
    return io.TextIOWrapper(
        io.BufferedWriter(_LossyFile(number, "wb", closefd=False)),
        encoding="utf-8" if before is None else before.encoding,
        errors="backslashreplace",
        line_buffering=before is not None and (before.line_buffering or number == 2),
        write_through=number == 2,
    )
