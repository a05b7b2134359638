"""The IDX format of MNIST and similar datasets: a short header, then unsigned bytes.

Bytes 0 and 1 are zero, byte 2 is the element type, byte 3 the number of dimensions; then each dimension as a
big-endian uint32, then the elements. LeCun, Cortes and Burges describe it on the page that first published MNIST.
"""

import math
import struct

import numpy as np
from numpy.typing import NDArray

from rnnexp.data.files.compressed import BadFileError, Content

UNSIGNED_BYTE = 0x08
ELEMENT_TYPES = {
    UNSIGNED_BYTE: "unsigned bytes",
    0x09: "signed bytes",
    0x0B: "16-bit integers",
    0x0C: "32-bit integers",
    0x0D: "32-bit floats",
    0x0E: "64-bit floats",
}


def parse_idx(content: Content, where: str, num_dimensions: int) -> NDArray[np.uint8]:
    """Return the array inside an IDX file, as a view of `content`, shaped as the header says.

    Raises:
        BadFileError: naming `where`, for another magic number, element type, number of dimensions or size.
    """
    shape = _read_header(content, where, num_dimensions)
    expected = _header_size(num_dimensions) + math.prod(shape)
    if len(content) != expected:
        what = "truncated" if len(content) < expected else "wrong size"
        raise BadFileError(f"{where}: {what}: its header says {expected:,} bytes, it has {len(content):,}")
    return np.frombuffer(content, dtype=np.uint8, offset=_header_size(num_dimensions)).reshape(shape)


def size_of_idx(start: Content, where: str, num_dimensions: int) -> int:
    """Return the size of a file in bytes that its header says; see `parse_idx` for the errors.

    Args:
        start: the start of the file, at least its header.
    """
    return _header_size(num_dimensions) + math.prod(_read_header(start, where, num_dimensions))


def _header_size(num_dimensions: int) -> int:
    return 4 + 4 * num_dimensions


def _read_header(content: Content, where: str, num_dimensions: int) -> tuple[int, ...]:
    """Return the shape of the array."""
    if len(content) < _header_size(num_dimensions):
        raise BadFileError(f"{where}: truncated: {len(content)} bytes, too short for an IDX header")
    zero, element_type, dimensions = struct.unpack_from(">HBB", content)
    if zero != 0 or element_type not in ELEMENT_TYPES:
        raise BadFileError(f"{where}: not an IDX file (it begins with 0x{content[:4].hex()})")
    if element_type != UNSIGNED_BYTE:
        raise BadFileError(f"{where}: holds {ELEMENT_TYPES[element_type]}, not unsigned bytes")
    if dimensions != num_dimensions:
        raise BadFileError(f"{where}: holds a {dimensions}-dimensional array, not a {num_dimensions}-dimensional")
    shape: tuple[int, ...] = struct.unpack_from(f">{num_dimensions}I", content, offset=4)
    if 0 in shape:
        raise BadFileError(f"{where}: is empty (its header says {shape})")
    return shape


def encode_idx(array: NDArray[np.uint8]) -> bytes:
    """Return the content of an IDX file that holds an array of unsigned bytes."""
    header = struct.pack(f">HBB{array.ndim}I", 0, UNSIGNED_BYTE, array.ndim, *array.shape)
    return header + np.ascontiguousarray(array, dtype=np.uint8).tobytes()
