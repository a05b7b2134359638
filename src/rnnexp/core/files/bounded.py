"""Text files that may be another person's, read only within bounds of size, nesting and numbers.

A file without bounds can end or stop the program that reads it: by its size, by brackets within brackets, by numbers
that no float can represent, or by a pipe that nothing is written to.
"""

import math
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from rnnexp.core.errors import UserError

MOST_BYTES = 8 << 20
MOST_NESTED = 64
"""The number of containers within each other; the configs and records of rnnexp have at most 8."""
MOST_BITS = 64


class UnboundedError(ValueError):
    """Data beyond the bounds. The message is the end of a sentence that begins with the name of the file."""


class TooLargeError(UserError):
    """A file is larger than what is read."""


def require_size(path: Path, num_bytes: int, most_bytes: int) -> None:
    """Raise TooLargeError for a file whose content is larger than what is read."""
    if num_bytes > most_bytes:
        raise TooLargeError(f"{path} has {num_bytes:,} bytes, and at most {most_bytes:,} are read")


def read_bounded_text(path: Path, most_bytes: int = MOST_BYTES) -> str:
    """Return the text of a file in UTF-8.

    Raises:
        FileNotFoundError: if it is missing.
        OSError: if it cannot be read.
        TooLargeError: if it is larger than `most_bytes`.
        UserError: if it is not an ordinary file or is not UTF-8.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):
        raise UserError(f"{path} is not a file")
    require_size(path, status.st_size, most_bytes)
    try:
        with path.open("rb") as file:
            return file.read(most_bytes).decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{path} is not UTF-8 (byte {error.start:,}); is it another file?") from None


def require_bounded(value: object) -> None:
    """Raise UnboundedError for plain values that are nested too deeply, and for numbers that a float cannot hold."""
    for depth, each in _walk(value):
        if depth > MOST_NESTED:
            raise UnboundedError(f"has more than {MOST_NESTED} containers within each other")
        if isinstance(each, int) and each.bit_length() > MOST_BITS:
            raise UnboundedError(f"has a whole number of more than {MOST_BITS} bits")


def without_infinities(value: object) -> object:
    """Return plain values in which null replaces NaN and infinity, which JSON does not know."""
    if isinstance(value, Mapping):
        return {key: without_infinities(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_infinities(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _walk(value: object) -> Iterator[tuple[int, object]]:
    """Yield each value with the number of containers around it. The nesting may exceed Python's limit of recursion."""
    waiting = [(0, value)]
    while waiting:
        depth, each = waiting.pop()
        yield depth, each
        if isinstance(each, Mapping):
            waiting += [(depth + 1, item) for pair in each.items() for item in pair]
        elif isinstance(each, list):
            waiting += [(depth + 1, item) for item in each]
