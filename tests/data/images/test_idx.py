"""The IDX format, sound and damaged."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from rnnexp.data.files.compressed import BadFileError, read_content
from rnnexp.data.images.idx import encode_idx, parse_idx

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
GOOD = encode_idx(IMAGES)


def test_header_is_the_published_one() -> None:
    assert GOOD[:16].hex() == "00000803" + "00000002" + "00000004" + "00000003"
    assert encode_idx(np.zeros(5, dtype=np.uint8)) == bytes.fromhex("0000080100000005") + bytes(5)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_round_trip_through_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"images{suffix}"
    path.write_bytes(gzip.compress(GOOD, mtime=0) if suffix else GOOD)
    images = parse_idx(read_content(path), str(path), 3)
    assert np.array_equal(images, IMAGES)
    assert images.flags.writeable  # torch warns about memory that is not


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "here: truncated: 0 bytes, too short for an IDX header"),
        (GOOD[:10], "here: truncated: 10 bytes, too short for an IDX header"),
        (GOOD[:-1], "here: truncated: its header says 40 bytes, it has 39"),
        (GOOD + b"x", "here: wrong size: its header says 40 bytes, it has 41"),
        (b"<html><body>Not Found", "here: not an IDX file (it begins with 0x3c68746d)"),
        (b"\0\0\x07\x03" + GOOD[4:], "here: not an IDX file (it begins with 0x00000703)"),
        (b"\0\0\x0d\x03" + GOOD[4:], "here: holds 32-bit floats, not unsigned bytes"),
        (encode_idx(IMAGES.reshape(1, 2, 4, 3)), "here: holds a 4-dimensional array, not a 3-dimensional"),
        (encode_idx(IMAGES[:0]), "here: is empty (its header says (0, 4, 3))"),
    ],
    ids=["empty", "header", "short", "long", "html", "magic", "type", "dimensions", "size"],
)
def test_each_defect_is_named(content: bytes, message: str) -> None:
    with pytest.raises(BadFileError) as caught:
        parse_idx(content, "here", 3)
    assert str(caught.value) == message
