"""The IDX format, in which MNIST and its relatives are published: a short header, then unsigned bytes.

Bytes 0 and 1 are zero, byte 2 is the element type, byte 3 the number of dimensions; then each dimension as a
big-endian uint32, then the elements. Described by LeCun, Cortes and Burges on the page that first published MNIST.
"""

import gzip
import math
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]

UNSIGNED_BYTE = 0x08
ELEMENT_TYPES = {
    UNSIGNED_BYTE: "unsigned bytes",
    0x09: "signed bytes",
    0x0B: "16-bit integers",
    0x0C: "32-bit integers",
    0x0D: "32-bit floats",
    0x0E: "64-bit floats",
}


class BadFileError(ValueError):
    """Content is not what it should be: the message says where and in which way, not yet what to do."""


def read_content(path: Path) -> Bytes:
    """The bytes of a file, uncompressed if its name ends in `.gz`.

    Raises:
        BadFileError: if it cannot be read, or is not sound gzip.
    """
    try:
        if path.suffix == ".gz":
            return decompress(path.read_bytes(), str(path))
        return np.fromfile(path, dtype=np.uint8)
    except OSError as error:
        raise BadFileError(f"{path}: cannot be read ({error.strerror or error})") from error


def decompress(content: bytes, where: str) -> Bytes:
    """Gzip to the bytes inside.

    Raises:
        BadFileError: naming `where`, if the content is cut short or corrupt.
    """
    try:
        return np.frombuffer(bytearray(gzip.decompress(content)), dtype=np.uint8)
    except EOFError as error:
        raise BadFileError(f"{where}: truncated gzip file of {len(content):,} bytes") from error
    except (gzip.BadGzipFile, zlib.error) as error:
        what = "an HTML page, not a gzip file" if content.lstrip()[:1] == b"<" else f"a corrupt gzip file ({error})"
        raise BadFileError(f"{where}: is {what}") from error


def parse_idx(content: Bytes, where: str, num_dimensions: int) -> Bytes:
    """The array inside an IDX file, as a view of `content`, shaped as the header says.

    Raises:
        BadFileError: naming `where`, for another magic number, element type, number of dimensions or size.
    """
    header_size = 4 + 4 * num_dimensions
    if content.size < header_size:
        raise BadFileError(f"{where}: truncated: {content.size} bytes, too short for an IDX header")
    zero, element_type, dimensions = struct.unpack(">HBB", content[:4].tobytes())
    if zero != 0 or element_type not in ELEMENT_TYPES:
        raise BadFileError(f"{where}: not an IDX file (it begins with 0x{content[:4].tobytes().hex()})")
    if element_type != UNSIGNED_BYTE:
        raise BadFileError(f"{where}: holds {ELEMENT_TYPES[element_type]}, not unsigned bytes")
    if dimensions != num_dimensions:
        raise BadFileError(f"{where}: holds a {dimensions}-dimensional array, not a {num_dimensions}-dimensional")
    shape = struct.unpack(f">{num_dimensions}I", content[4:header_size].tobytes())
    if 0 in shape:
        raise BadFileError(f"{where}: is empty (its header says {shape})")
    promised = header_size + math.prod(shape)
    if content.size != promised:
        what = "truncated" if content.size < promised else "wrong size"
        raise BadFileError(f"{where}: {what}: its header promises {promised:,} bytes, it has {content.size:,}")
    return content[header_size:].reshape(shape)


def encode_idx(array: Bytes) -> bytes:
    """An array of unsigned bytes as the content of an IDX file."""
    header = struct.pack(f">HBB{array.ndim}I", 0, UNSIGNED_BYTE, array.ndim, *array.shape)
    return header + np.ascontiguousarray(array, dtype=np.uint8).tobytes()
