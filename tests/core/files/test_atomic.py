"""Files are complete or absent, also if several processes write them."""

import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import (
    put_aside,
    read_json,
    remove_temporary_files,
    write_json,
    write_text,
    written_atomically,
)

WRITER = """
import sys
from pathlib import Path
from rnnexp.core.files.atomic import write_text

for _ in range(200):
    write_text(Path(sys.argv[1]), sys.argv[2] * 100_000)
"""


def test_the_umask_decides_who_may_read(tmp_path: Path) -> None:
    previous = os.umask(0o027)
    try:
        write_text(tmp_path / "file", "text")
    finally:
        os.umask(previous)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_the_umask_is_not_changed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The umask belongs to the whole process: files of other threads would be writable for all users."""
    changes: list[int] = []
    monkeypatch.setattr(os, "umask", changes.append)
    write_text(tmp_path / "file", "text")
    assert changes == []


def test_an_error_names_the_file_and_not_its_temporary_name(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError) as failed:
        write_text(tmp_path / "gone" / "file", "text")
    assert failed.value.filename == str(tmp_path / "gone" / "file")


def test_an_error_of_a_full_disk_names_the_file(tmp_path: Path) -> None:
    # A limit on the size of files replaces a full disk: the write fails with an OSError in both cases.
    script = (
        "import resource, signal, sys; from pathlib import Path; from rnnexp.core.files.atomic import write_bytes\n"
        "signal.signal(signal.SIGXFSZ, signal.SIG_IGN); resource.setrlimit(resource.RLIMIT_FSIZE, (64, 64))\n"
        "try: write_bytes(Path(sys.argv[1]), bytes(10_000_000))\n"
        "except OSError as error: print(error.filename)"
    )
    command = [sys.executable, "-B", "-c", script, str(tmp_path / "file")]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == f"{tmp_path}/file\n"
    assert list(tmp_path.iterdir()) == []


def test_two_processes_write_one_target(tmp_path: Path) -> None:
    target = tmp_path / "file"
    target.write_text("c", encoding="utf-8")
    writers = [subprocess.Popen([sys.executable, "-c", WRITER, str(target), letter]) for letter in "ab"]
    while any(writer.poll() is None for writer in writers):
        content = target.read_text(encoding="utf-8")
        assert len(set(content)) == 1, "a mixture"
        assert len(content) in (1, 100_000), "a part"
    assert [writer.returncode for writer in writers] == [0, 0]
    assert [path.name for path in tmp_path.iterdir()] == ["file"], "a temporary file is left"


def test_a_block_that_fails_does_not_change_the_target(tmp_path: Path) -> None:
    write_text(tmp_path / "file", "before")

    def fail() -> None:
        with written_atomically(tmp_path / "file") as file:
            file.write(b"after")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert (tmp_path / "file").read_text(encoding="utf-8") == "before"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_nan_is_refused_in_json(tmp_path: Path) -> None:
    write_json(tmp_path / "file", {"é": [float("nan"), (1.5, float("inf"))]})
    assert read_json(tmp_path / "file") == {"é": [None, [1.5, None]]}


def test_content_and_name_are_on_disk_before_and_after_the_rename(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    synced, renamed = os.fsync, Path.replace

    def sync(descriptor: int) -> None:
        events.append("directory" if stat.S_ISDIR(os.fstat(descriptor).st_mode) else "file")
        synced(descriptor)

    def rename(path: Path, target: Path) -> Path:
        events.append("rename")
        return renamed(path, target)

    monkeypatch.setattr(os, "fsync", sync)
    monkeypatch.setattr(Path, "replace", rename)
    write_text(tmp_path / "file", "text")
    assert events == ["file", "rename", "directory"]


def test_only_temporary_files_are_removed(tmp_path: Path) -> None:
    kept = [".gitignore", ".a.0123", "result.json", ".result.json.0123456789ab.txt", ".x.0123456789AB"]
    for name in [*kept, ".result.json.0123456789ab", ".a b.ckpt.abcdefabcdef"]:
        (tmp_path / name).write_text("", encoding="utf-8")
    (tmp_path / ".d.0123456789ab").mkdir()
    (tmp_path / ".l.0123456789ab").symlink_to(tmp_path / "result.json")
    remove_temporary_files(tmp_path)
    left = {path.name for path in tmp_path.iterdir()}
    assert left == {*kept, ".d.0123456789ab", ".l.0123456789ab"}
    remove_temporary_files(tmp_path / "absent")


def test_damaged_files_are_put_aside_under_new_names(tmp_path: Path) -> None:
    for content in "abc":
        (tmp_path / "status.json").write_text(content, encoding="utf-8")
        put_aside(tmp_path / "status.json")
    assert {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()} == {
        "status.json.damaged": "a",
        "status.json.damaged-2": "b",
        "status.json.damaged-3": "c",
    }


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 100_000, None])
def test_a_file_without_an_object_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "status.json"
    if content is None:
        file.mkdir()
    else:
        file.write_bytes(content)
    with pytest.raises(UserError, match=r"status\.json"):
        read_json(file)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        pytest.param("[" * 200_000, "nested too deeply", id="200,000 brackets"),
        pytest.param('{"a":' * 300 + "1" + "}" * 300, "containers within each other", id="300 objects"),
        pytest.param('{"a": ' + "9" * 400 + "}", "whole number of more than 64 bits", id="400 digits"),
        pytest.param('{"a": ' + "9" * 5000 + "}", "is not valid JSON", id="5,000 digits"),
        pytest.param(" " * (8 << 20) + "{}", "at most 8,388,608 are read", id="8 MB"),
        pytest.param("null", "holds a NoneType, not an object", id="null"),
        pytest.param("[]", "holds a list, not an object", id="list"),
        pytest.param("", "was it cut short?", id="empty"),
    ],
)
def test_json_beyond_the_bounds_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "file.json").write_text(content, encoding="utf-8")
    with pytest.raises(UserError) as refused:
        read_json(tmp_path / "file.json")
    assert message in str(refused.value)
    assert "\n" not in str(refused.value)


def test_numbers_that_json_does_not_know_are_null(tmp_path: Path) -> None:
    (tmp_path / "file.json").write_text('{"a": NaN, "b": [1e999, -Infinity], "c": 0.5}', encoding="utf-8")
    assert read_json(tmp_path / "file.json") == {"a": None, "b": [None, None], "c": 0.5}


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "file.json")
    with pytest.raises(UserError, match="is not a file"):
        read_json(tmp_path / "file.json")
