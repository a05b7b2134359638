"""Archives that hold a checksum of themselves, by which any damage is found without torch."""

import zlib
from pathlib import Path

SEAL = b"rnnexp: crc32 "
SEAL_SIZE = len(SEAL) + 8


def sealed(archive: bytes | memoryview) -> bytes:
    """Return a zip archive with its own checksum as the comment of the archive, by which `is_whole` recognizes it.

    The checksums in an archive cover the content of its members, but not the directory that names them.

    Args:
        archive: the bytes of an archive without a comment, as `torch.save` writes it.
    """
    comment = SEAL + b"%08x" % zlib.crc32(archive)
    return b"".join((archive[:-2], len(comment).to_bytes(2, "little"), comment))


def is_whole(path: Path) -> bool:
    """Return whether a file is an archive exactly as it was written, see `sealed`."""
    try:
        return is_intact(path.read_bytes())
    except OSError:
        return False


def is_intact(content: bytes) -> bool:
    """Return whether these are the bytes of an archive exactly as it was sealed."""
    return content == sealed(content[: -SEAL_SIZE - 2] + b"\0\0")


def has_seal(content: bytes) -> bool:
    """Return whether bytes end like those of a sealed archive, damaged or not."""
    return SEAL in content[-SEAL_SIZE:]
