"""Files that may be compressed, sound and damaged."""

import bz2
import gzip
import lzma
import os
import subprocess
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnexp.data.files.compressed import BadFileError, decompress, other_format, read_content

CONTENT = bytes(range(40))


@pytest.mark.parametrize("name", ["a", "a.gz"])
@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_the_content_tells_how_it_is_compressed(tmp_path: Path, name: str, compress: Callable[[bytes], bytes]) -> None:
    (tmp_path / name).write_bytes(compress(CONTENT))
    assert read_content(tmp_path / name) == CONTENT
    assert not read_content(tmp_path / name).readonly  # torch warns about memory that is not writable


@pytest.mark.parametrize("compress", [bytes, gzip.compress, bz2.compress, lzma.compress])
def test_no_more_than_the_bound_is_read(tmp_path: Path, compress: Callable[[bytes], bytes]) -> None:
    (tmp_path / "a").write_bytes(compress(bytes(50_000_000)))
    tracemalloc.start()
    with pytest.raises(BadFileError, match=r"a: holds more than the 1,000 bytes that are read at most"):
        read_content(tmp_path / "a", max_bytes=1000)
    assert tracemalloc.get_traced_memory()[1] < 20_000_000
    tracemalloc.stop()


@pytest.mark.parametrize(
    ("content", "description"),
    [
        (b"PK\x03\x04...", "a zip archive (or .npz, .xlsx)"),
        (bytes(257) + b"ustar", "a tar archive"),
        (b"\n<!DOCTYPE html>", "an HTML page"),
        (b"\x93NUMPY", "a NumPy array"),
        (b"<seg>text", None),
        (b"", None),
    ],
)
def test_other_formats_are_named(content: bytes, description: str | None) -> None:
    assert other_format(content) == description


def test_a_pipe_can_be_read(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with subprocess.Popen(["/bin/sh", "-c", f"printf abc > {tmp_path}/pipe"]):
        assert read_content(tmp_path / "pipe") == b"abc"


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
