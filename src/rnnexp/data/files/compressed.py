"""Files that may be compressed, read within bounds. Their content tells how they are compressed, not their name."""

import bz2
import gzip
import io
import lzma
import os
import zlib
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np

Content = bytes | bytearray | memoryview

CHUNK_SIZE = 1 << 20
READ_AT_MOST = "that are read at most"
HEAD_SIZE = 512
COMPRESSIONS: Mapping[bytes, tuple[str, Callable[[BinaryIO], object]]] = {
    b"\x1f\x8b": ("gzip", lambda file: gzip.GzipFile(fileobj=file)),
    b"BZh": ("bzip2", bz2.BZ2File),
    b"\xfd7zXZ\0": ("xz", lzma.LZMAFile),
}
"""The first bytes of a compressed file, the name of its format, and the function that opens it."""
OTHER_FORMATS: Mapping[bytes, str] = {
    b"PK\x03\x04": "a zip archive (or .npz, .xlsx)",
    b"7z\xbc\xaf\x27\x1c": "a 7z archive",
    b"Rar!": "a RAR archive",
    b"\x28\xb5\x2f\xfd": "a Zstandard file",
    b"\x1f\x9d": "a file of Unix compress",
    b"%PDF": "a PDF file",
    b"\x93NUMPY": "a NumPy array",
    b"\x80\x04": "a pickle",
    b"\x80\x02": "a pickle",
    b"PAR1": "a Parquet file",
    b"ARROW1": "an Arrow file",
    b"SQLite format 3": "an SQLite database",
    b"\x89HDF": "an HDF5 file",
    b"\x89PNG": "a PNG image",
    b"\xff\xd8\xff": "a JPEG image",
    b"\x7fELF": "a program",
}
"""The first bytes of formats that are recognized only to name them in messages."""
TAR_MARK, TAR_OFFSET = b"ustar", 257


class BadFileError(ValueError):
    """A file with wrong content. The message says where and what, not what to do."""


def memory_bound() -> int:
    """Return the number of bytes that the content of one file may have: a quarter of this machine's memory."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4


def read_content(path: Path, max_bytes: int | None = None, reason: str = READ_AT_MOST) -> memoryview:
    """Return the bytes of a file in writable memory, uncompressed.

    Args:
        path: the file.
        max_bytes: the bound of the uncompressed size; None for `memory_bound`.
        reason: the reason of the bound, for the message.

    Raises:
        BadFileError: if it cannot be read, is damaged, or has more bytes.
    """
    bound = memory_bound() if max_bytes is None else max_bytes
    if path.is_file() and not is_compressed(read_head(path)):
        require_bound(path.stat().st_size, bound, str(path), reason)
        return np.fromfile(path, dtype=np.uint8).data  # a copy would double the time for MNIST
    content = bytearray()
    for chunk in read_chunks(path, bound, reason):
        content += chunk
    return memoryview(content)


def read_chunks(path: Path, max_bytes: int | None = None, reason: str = READ_AT_MOST) -> Iterator[bytes]:
    """Yield the uncompressed content of a file in parts; see `read_content`."""
    bound = memory_bound() if max_bytes is None else max_bytes
    try:
        with path.open("rb") as file:
            head = file.peek(HEAD_SIZE)
            for mark, (name, opened) in COMPRESSIONS.items():
                if head.startswith(mark):
                    size = os.fstat(file.fileno()).st_size
                    yield from _decompressed(cast("BinaryIO", opened(file)), size, bound, str(path), name, reason)
                    return
            yield from _bounded(file, bound, str(path), reason)
    except OSError as error:
        raise BadFileError(f"{path}: cannot be read ({error.strerror or error})") from error


def read_head(path: Path) -> bytes:
    """Return the first bytes of a file as it is stored.

    Raises:
        BadFileError: if it cannot be read.
    """
    try:
        with path.open("rb") as file:
            return file.read(HEAD_SIZE)
    except OSError as error:
        raise BadFileError(f"{path}: cannot be read ({error.strerror or error})") from error


def is_compressed(head: bytes) -> bool:
    """Return whether the first bytes are those of a compressed file that can be read."""
    return head.startswith(tuple(COMPRESSIONS))


def other_format(head: bytes) -> str | None:
    """Return a description of the file that begins like this, if it is a known format that is not read here."""
    if head[TAR_OFFSET:].startswith(TAR_MARK):
        return "a tar archive"
    if head.lstrip()[:14].lower().startswith((b"<!doctype html", b"<html")):
        return "an HTML page"
    return next((name for mark, name in OTHER_FORMATS.items() if head.startswith(mark)), None)


def decompress(content: bytes, where: str) -> bytearray:
    """Return the bytes inside gzip content that was received.

    Raises:
        BadFileError: naming `where`, if the content is truncated, corrupt, or too large.
    """
    result = bytearray()
    stream = cast("BinaryIO", gzip.GzipFile(fileobj=io.BytesIO(content)))
    try:
        for chunk in _decompressed(stream, len(content), memory_bound(), where, "gzip"):
            result += chunk
    except BadFileError as error:
        if content.lstrip()[:1] == b"<":
            raise BadFileError(f"{where}: is an HTML page, not a gzip file") from error
        raise
    return result


def _decompressed(
    stream: BinaryIO, size: int, bound: int, where: str, name: str, reason: str = READ_AT_MOST
) -> Iterator[bytes]:
    try:
        yield from _bounded(stream, bound, where, reason)
    except EOFError as error:
        raise BadFileError(f"{where}: truncated {name} file of {size:,} bytes") from error
    except (gzip.BadGzipFile, zlib.error, lzma.LZMAError, OSError) as error:
        # bz2 raises an OSError without a number for bad content.
        if getattr(error, "errno", None) is not None:
            raise
        raise BadFileError(f"{where}: is a corrupt {name} file ({error})") from error


def _bounded(stream: BinaryIO, bound: int, where: str, reason: str) -> Iterator[bytes]:
    num_read = 0
    while chunk := stream.read(CHUNK_SIZE):
        num_read += len(chunk)
        require_bound(num_read, bound, where, reason)
        yield chunk


def require_bound(num_bytes: int, bound: int, where: str, reason: str = READ_AT_MOST) -> None:
    """Raise BadFileError if there are more bytes than the bound."""
    if num_bytes > bound:
        raise BadFileError(f"{where}: holds more than the {bound:,} bytes {reason}")
