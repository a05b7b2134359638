"""Files that may be compressed with gzip."""

import gzip
import zlib
from pathlib import Path

import numpy as np

Content = bytes | bytearray | memoryview


class BadFileError(ValueError):
    """A file has other content than it should: the message says where and what, not yet what to do."""


def read_content(path: Path) -> memoryview:
    """Return the bytes of a file, uncompressed if its name ends in `.gz`, in memory of their own that may be written.

    Raises:
        BadFileError: if it cannot be read, or is not sound gzip.
    """
    try:
        if path.suffix == ".gz":
            return memoryview(decompress(path.read_bytes(), str(path)))
        return np.fromfile(path, dtype=np.uint8).data  # without a copy, or MNIST would take twice the time
    except OSError as error:
        raise BadFileError(f"{path}: cannot be read ({error.strerror or error})") from error


def decompress(content: bytes, where: str) -> bytearray:
    """Return the bytes inside gzip content.

    Raises:
        BadFileError: naming `where`, if the content is cut short or corrupt.
    """
    try:
        return bytearray(gzip.decompress(content))
    except EOFError as error:
        raise BadFileError(f"{where}: truncated gzip file of {len(content):,} bytes") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadFileError(f"{where}: is {describe_content(content, 'gzip file', error)}") from error


def describe_content(content: bytes, kind: str, error: Exception) -> str:
    """Return what the content is, where a `kind` of file was expected: a page to sign in, or a corrupt file."""
    is_html = content.lstrip()[:1] == b"<"
    return f"an HTML page, not a {kind}" if is_html else f"a corrupt {kind} ({error})"
