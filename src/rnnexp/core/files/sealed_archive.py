"""Archives that hold a checksum of themselves, by which any damage is found without torch."""

import zlib
from pathlib import Path

COMMENT = b"rnnexp: crc32 %08x"


def sealed(archive: bytes | memoryview) -> bytes:
    """Return a zip archive with its own checksum as the comment of the archive, by which `is_whole` recognizes it.

    The checksums in an archive cover the content of its members, but not the directory that names them.

    Args:
        archive: the bytes of an archive without a comment, as `torch.save` writes it.
    """
    comment = COMMENT % zlib.crc32(archive)
    return b"".join((archive[:-2], len(comment).to_bytes(2, "little"), comment))


def is_whole(path: Path) -> bool:
    """Return whether a file is an archive exactly as it was written, see `sealed`."""
    try:
        content = path.read_bytes()
    except OSError:
        return False
    size = len(COMMENT % 0)
    return content == sealed(content[: -size - 2] + b"\0\0")
