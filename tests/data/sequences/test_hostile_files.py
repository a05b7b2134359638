"""Files that are damaged on purpose: each is refused in one line that names it."""

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from rnnexp.core.errors import UserError
from rnnexp.data.sequences import text_file
from rnnexp.data.sequences.content import Wanted
from rnnexp.data.sequences.files import read_files

WANTED = Wanted(time=None)
X = np.ones((2, 3, 1), dtype=np.float32)


def npz(x: bytes, y: bytes, method: int = zipfile.ZIP_STORED) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("x.npy", x)
        archive.writestr("y.npy", y)
    return file.getvalue()


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.save(file, array)
    return file.getvalue()


def header(text: str) -> bytes:
    return b"\x93NUMPY\x02\x00" + len(text).to_bytes(4, "little") + text.encode()


def of_codes(code: int) -> bytes:
    return npy(np.array([ord("a"), ord("b"), code, 0], dtype=np.uint32).view("U2"))


LABELS = npy(np.array([0, 1]))
WHOLE = npz(npy(X), LABELS)
HOSTILE: dict[str, bytes] = {
    "an unknown compression": WHOLE.replace(
        b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x00\x00\x63\x00"
    ),
    "an encrypted member": WHOLE.replace(b"PK\x01\x02\x14\x03\x14\x00\x00\x00", b"PK\x01\x02\x14\x03\x14\x00\x01\x00"),
    "a damaged member": npz(npy(X), LABELS, zipfile.ZIP_LZMA).replace(b"NUMPY", b"NUMPX")[:-60] + WHOLE[-60:],
    "nested brackets": npz(header("[" * 9000), LABELS),
    "a shape beyond any memory": npz(
        header(f"{{'descr': '<f4', 'fortran_order': False, 'shape': ({10**60}, 0, 2)}}"), LABELS
    ),
    "a shape that is no number": npz(header("{'descr': '<f4', 'fortran_order': False, 'shape': (True, 5, 2)}"), LABELS),
    "characters beyond Unicode": npz(npy(X), of_codes(0x7FFFFFFF)),
    "half a character": npz(npy(X), of_codes(0xD800)),
    "bytes of no encoding": npz(npy(X), npy(np.array([b"\xff", b"a"]))),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_archive_is_refused_in_one_line(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "a.npz"
    path.write_bytes(HOSTILE[kind])
    with pytest.raises(UserError, match=r"a\.npz: (is no valid \.npz file|array 'y' holds)") as raised:
        read_files([path], WANTED)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("make", [lambda: header("[" * 9000), lambda: npy(X)[:70]])
def test_a_hostile_array_is_refused_in_one_line(make: Callable[[], bytes], tmp_path: Path) -> None:
    (tmp_path / "x.npy").write_bytes(make())
    (tmp_path / "y.npy").write_bytes(LABELS)
    with pytest.raises(UserError, match=r"x\.npy: is no valid \.npy file"):
        read_files([tmp_path / "x.npy", tmp_path / "y.npy"], WANTED)


def test_a_compressed_file_is_bounded_by_its_content(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(text_file, "available_bytes", lambda: 10_000_000)
    path = tmp_path / "a.csv.gz"
    path.write_bytes(gzip.compress(b"\n" * 5_000_000))
    with pytest.raises(UserError, match=r"a\.csv\.gz: holds more than the 1,000,000 bytes that fit into memory"):
        read_files([path], WANTED)
