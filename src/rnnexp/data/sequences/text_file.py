"""Text files of numbers."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from rnnexp.core.errors import UserError
from rnnexp.data.files.compressed import BadFileError, other_format, read_content, read_head
from rnnexp.data.files.free_memory import available_bytes
from rnnexp.data.sequences.content import Array, require_to_fit
from rnnexp.data.text.parallel_text import split_lines

MISSING = frozenset({"", "?", "na", "nan", "null", "none", "n/a", "-nan"})
"""Words, in lower case, that stand for a missing value."""
EXPANSION = 10
"""The memory that text takes while it is read, relative to its size."""


def read_text_lines(path: Path) -> list[str]:
    """Return the lines of a text file, plain or compressed.

    Raises:
        UserError: if it is no UTF-8 text, or does not fit into memory.
    """
    try:
        if other := other_format(read_head(path)):
            raise UserError(f"{path}: is {other}, not text: name it as what it is")
        require_to_fit(path, EXPANSION * path.stat().st_size)
        # A compressed file may be thousands of times as large as its size on disk.
        content = read_content(path, available_bytes() // EXPANSION, "that fit into memory as a table")
        return split_lines(bytes(content), str(path))
    except BadFileError as error:
        raise UserError(f"{error}: replace it") from None


def plain_numbers(cells: Sequence[str]) -> list[float]:
    """Return the numbers of cells.

    Raises:
        ValueError: for a cell that is no number, or one with underscores or with digits of another script, which Python
            would read.
    """
    text = "".join(cells)
    if "_" in text or not text.isascii():
        raise ValueError
    return [float(cell) for cell in cells]


def parse_numbers(cells: Sequence[str], where: str) -> Array:
    """Return the numbers of cells as float64, NaN for a missing one.

    Raises:
        UserError: naming `where`, for a cell that is no number.
    """
    try:
        return np.array(plain_numbers(cells))
    except ValueError:
        return np.array([_parse(cell, where) for cell in cells])


def _parse(cell: str, where: str) -> float:
    text = cell.strip()
    if text.lower() in MISSING:
        return np.nan
    try:
        return plain_numbers([text])[0]
    except ValueError:
        hint = " with a decimal point" if "," in text else ""
        raise UserError(f"{where}: {text[:40]!r} is text where a number belongs: write a number{hint}") from None
