"""Files that may be compressed with gzip."""

import gzip
import zlib
from pathlib import Path

import numpy as np

Content = bytes | bytearray | memoryview


class BadFileError(ValueError):
    """A file with wrong content. The message says where and what, not what to do."""


def read_content(path: Path) -> memoryview:
    """Return the bytes of a file in writable memory, uncompressed if its name ends in `.gz`.

    Raises:
        BadFileError: if it cannot be read, or is not valid gzip.
    """
    try:
        if path.suffix == ".gz":
            return memoryview(decompress(path.read_bytes(), str(path)))
        return np.fromfile(path, dtype=np.uint8).data  # a copy would double the time for MNIST
    except OSError as error:
        raise BadFileError(f"{path}: cannot be read ({error.strerror or error})") from error


def decompress(content: bytes, where: str) -> bytearray:
    """Return the bytes inside gzip content.

    Raises:
        BadFileError: naming `where`, if the content is truncated or corrupt.
    """
    try:
        return bytearray(gzip.decompress(content))
    except EOFError as error:
        raise BadFileError(f"{where}: truncated gzip file of {len(content):,} bytes") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        raise BadFileError(f"{where}: is {describe_content(content, 'gzip file', error)}") from error


def describe_content(content: bytes, kind: str, error: Exception) -> str:
    """Return a description of content that is not a valid file of a `kind`: an HTML page, or a corrupt file."""
    is_html = content.lstrip()[:1] == b"<"
    return f"an HTML page, not a {kind}" if is_html else f"a corrupt {kind} ({error})"
