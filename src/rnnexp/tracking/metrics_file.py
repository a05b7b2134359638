"""Readers of metrics.csv, which may be used while a run writes it."""

import csv
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, NamedTuple

BLOCK_SIZE = 1 << 16
LONGEST_LINE = 1 << 24
MOST_BYTES = 1 << 27
"""The size that is read; it is enough for a million rows."""


class Logged(NamedTuple):
    """One value of a metric; epochs count from 1."""

    epoch: int
    step: int
    value: float


def read_logged(path: Path, name: str) -> tuple[list[Logged], bool]:
    """Return every value of a metric in the order of the file, and whether the file is damaged.

    Lines that are damaged are left out. A last line without a line end is being written, which is not damage.
    """
    values: list[Logged] = []
    if not path.is_file():
        # A pipe that nothing is written to would stop the reader.
        return values, path.exists()
    try:
        with path.open("rb") as file:
            header = _fields(file.readline(LONGEST_LINE)) or []
            is_damaged = not {"epoch", "step"} <= set(header)
            if name not in header:
                return values, is_damaged
            column = header.index(name)
            while (line := file.readline(LONGEST_LINE)).endswith(b"\n") and file.tell() <= MOST_BYTES:
                # Most lines have no value of this metric, and are not parsed.
                if (
                    line.isascii()
                    and b'"' not in line
                    and line.rstrip().split(b",")[column : column + 1] in ([], [b""])
                ):
                    continue
                fields = _fields(line)
                row = _row(header, fields or ())
                logged = _logged(row, name)
                is_damaged |= fields is None or (logged is None and bool(row.get(name)))
                values += [logged] if logged else []
            is_damaged |= file.tell() > MOST_BYTES
    except OSError:
        return values, True
    return values, is_damaged


def read_rows(path: Path) -> tuple[list[dict[str, str]], bool]:
    """Return the rows of the file without empty fields, and whether lines are damaged; no rows if the file is missing.

    Damaged lines, which are not in UTF-8 or have another number of fields than the header, are left out. A last line
    without a line end is left out too, and is not damage: its process was ended while it wrote.
    """
    if not path.is_file():
        return [], False
    with path.open("rb") as file:
        first, *lines = file.read(MOST_BYTES).split(b"\n")[:-1] or [b""]
        is_damaged = bool(file.read(1))
    header, rows = _fields(first), []
    for line in lines:
        fields = _fields(line)
        if header and fields and len(fields) == len(header):
            rows.append({name: field for name, field in zip(header, fields, strict=True) if field})
        else:
            is_damaged = True
    return rows, is_damaged or (header is None)


def _fields(line: bytes) -> list[str] | None:
    """Return the fields of a line; None if they cannot be read."""
    try:
        return _split(line)
    except (csv.Error, UnicodeDecodeError):
        return None


def newest_metric(path: Path, names: Iterable[str]) -> tuple[str, float] | None:
    """Return name and latest value of the first of `names` that the file has; None if it has none.

    The file is read from its end, so the cost does not grow with the length of a run.
    """
    if not path.is_file():
        return None
    try:
        with path.open("rb") as file:
            header = _split(file.readline(LONGEST_LINE))
            start = file.tell()
            for name in names:
                for line in _lines_from_end(file, start) if name in header else ():
                    if logged := _logged(_row(header, _split(line)), name):
                        return name, logged.value
    except (OSError, csv.Error, UnicodeDecodeError):
        pass
    return None


def _row(header: Sequence[str], fields: Sequence[str]) -> dict[str, str]:
    # A line with more columns than the header was written after the header was read.
    return dict(zip(header, fields, strict=False)) if len(fields) <= len(header) else {}


def _logged(row: Mapping[str, str | None], name: str) -> Logged | None:
    try:
        return Logged(int(row["epoch"] or "") + 1, int(row["step"] or ""), float(row[name] or ""))
    except (KeyError, TypeError, ValueError):
        return None


def _split(line: bytes) -> list[str]:
    text = line.decode().rstrip("\r\n")
    return next(csv.reader([text]), []) if '"' in text else text.split(",")


def _lines_from_end(file: IO[bytes], start: int) -> Iterator[bytes]:
    """Yield the complete lines after `start`, the last one first."""
    position = file.seek(0, os.SEEK_END)
    # The text after the last line end may be incomplete, so the first piece is dropped.
    rest, is_complete = b"", False
    while position > start:
        size = min(BLOCK_SIZE, position - start)
        position -= size
        file.seek(position)
        rest, *lines = (file.read(size) + rest).split(b"\n")
        for line in reversed(lines):
            if is_complete and line.strip():
                yield line
            is_complete = True
    if is_complete and rest.strip():
        yield rest
