"""Archives that hold a checksum of themselves, by which any damage is found without torch."""

import io
import os
import zlib
from pathlib import Path
from typing import BinaryIO

SEAL = b"rnnexp: crc32 "
SEAL_SIZE = len(SEAL) + 8
PART_SIZE = 1 << 20


def sealed(archive: bytes | memoryview) -> bytes:
    """Return a zip archive with its own checksum as the comment of the archive, by which `is_whole` recognizes it.

    The checksums in an archive cover the content of its members, but not the directory that names them.

    Args:
        archive: the bytes of an archive without a comment, as `torch.save` writes it.
    """
    return b"".join((archive[:-2], _end(zlib.crc32(archive))))


def _end(checksum: int) -> bytes:
    comment = SEAL + b"%08x" % checksum
    return len(comment).to_bytes(2, "little") + comment


def is_whole(path: Path) -> bool:
    """Return whether a file is an archive exactly as it was written, see `sealed`."""
    try:
        # A pipe would not end.
        if not path.is_file():
            return False
        with path.open("rb") as file:
            return _is_intact(file)
    except OSError:
        return False


def is_intact(content: bytes) -> bool:
    """Return whether these are the bytes of an archive exactly as it was sealed."""
    return _is_intact(io.BytesIO(content))


def _is_intact(file: BinaryIO) -> bool:
    """Return whether a file is an archive as it was sealed. It is read in parts, since it may be of any size."""
    size = file.seek(0, os.SEEK_END) - SEAL_SIZE - 2
    if size < 0:
        return False
    file.seek(size)
    end = file.read()
    if not has_seal(end):
        return False
    file.seek(0)
    checksum = 0
    while size > 0 and (part := file.read(min(size, PART_SIZE))):
        checksum = zlib.crc32(part, checksum)
        size -= len(part)
    return end == _end(zlib.crc32(b"\0\0", checksum))


def has_seal(content: bytes) -> bool:
    """Return whether bytes end like those of a sealed archive, damaged or not."""
    return SEAL in content[-SEAL_SIZE:]
