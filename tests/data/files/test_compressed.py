"""Files that may be compressed, sound and damaged."""

import gzip
from pathlib import Path

import pytest

from rnnexp.data.files.compressed import BadFileError, decompress, read_content

CONTENT = bytes(range(40))


def test_a_name_in_gz_means_compressed(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(CONTENT)
    (tmp_path / "a.gz").write_bytes(gzip.compress(CONTENT))
    assert read_content(tmp_path / "a") == read_content(tmp_path / "a.gz") == CONTENT


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (gzip.compress(CONTENT, mtime=0)[:-12], "here: truncated gzip file of "),
        (gzip.compress(CONTENT, mtime=0)[:-6] + b"\0\0\0\0\0\0", "here: is a corrupt gzip file (CRC check failed"),
        (gzip.compress(CONTENT, mtime=0)[:10] + b"\xff" * 30, "here: is a corrupt gzip file (Error -3"),
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
