import gzip
from pathlib import Path

import numpy as np
import pytest

from rnnexp.data.images.idx import BadFileError, decompress, encode_idx, parse_idx, read_content

IMAGES = np.arange(24, dtype=np.uint8).reshape(2, 4, 3)
GOOD = encode_idx(IMAGES)


def as_bytes(content: bytes) -> np.ndarray:
    return np.frombuffer(content, dtype=np.uint8)


def test_header_is_the_published_one() -> None:
    assert GOOD[:16].hex() == "00000803" + "00000002" + "00000004" + "00000003"
    assert encode_idx(np.zeros(5, dtype=np.uint8)) == bytes.fromhex("0000080100000005") + bytes(5)


@pytest.mark.parametrize("suffix", ["", ".gz"])
def test_round_trip_through_a_file(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"images{suffix}"
    path.write_bytes(gzip.compress(GOOD, mtime=0) if suffix else GOOD)
    content = read_content(path)
    assert np.array_equal(parse_idx(content, str(path), 3), IMAGES)
    assert content.flags.writeable  # torch warns about memory that is not


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "here: truncated: 0 bytes, too short for an IDX header"),
        (GOOD[:10], "here: truncated: 10 bytes, too short for an IDX header"),
        (GOOD[:-1], "here: truncated: its header promises 40 bytes, it has 39"),
        (GOOD + b"x", "here: wrong size: its header promises 40 bytes, it has 41"),
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
        parse_idx(as_bytes(content), "here", 3)
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(GOOD, mtime=0)[:-12], "here: truncated gzip file of "),
        (gzip.compress(GOOD, mtime=0)[:-6] + b"\0\0\0\0\0\0", "here: is a corrupt gzip file (CRC check failed"),
        (gzip.compress(GOOD, mtime=0)[:10] + b"\xff" * 30, "here: is a corrupt gzip file (Error -3"),
        (b"plain", "here: is a corrupt gzip file (Not a gzipped file"),
        (b"\n<!DOCTYPE html>", "here: is an HTML page, not a gzip file"),
    ],
    ids=["truncated", "checksum", "data", "plain", "html"],
)
def test_each_defect_of_gzip_is_named(content: bytes, message: str) -> None:
    with pytest.raises(BadFileError) as caught:
        decompress(content, "here")
    assert str(caught.value).startswith(message)


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(BadFileError, match=r"cannot be read \(Is a directory\)"):
        read_content(tmp_path)
