"""A lock on a directory: who holds it, who is gone, and a process that wakes up late."""

import errno
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import UserError
from rnnexp.core.files import directory_lock
from rnnexp.core.files.atomic import write_text
from rnnexp.core.files.directory_lock import DirectoryLock, Holder, LockedError, locked, observe_lock, start_of

HOLD = """
import os, sys, time
from pathlib import Path
from rnnexp.core.errors import UserError
from rnnexp.core.files import directory_lock
from rnnexp.core.files.atomic import write_text

directory = Path(sys.argv[1])
directory_lock.HEARTBEAT_SECONDS = 0.2
with directory_lock.locked(directory):
    print("locked", flush=True)
    {body}
print("released", flush=True)
"""
WAIT = "sys.stdin.readline()"


@contextmanager
def holder(directory: Path, body: str = WAIT) -> Iterator[subprocess.Popen[str]]:
    """Start a process that holds the lock of a directory."""
    command = [sys.executable, "-c", HOLD.format(body=body), str(directory)]
    pipes: dict[str, Any] = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(command, text=True, **pipes) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "locked\n"
        try:
            yield process
        finally:
            process.kill()


def test_one_process_holds_it(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        with pytest.raises(LockedError, match=f"is in use by process {process.pid} on "), locked(tmp_path, 0.2):
            pass
        state = observe_lock(tmp_path)
        assert state.is_held
        assert state.holder is not None
        assert state.holder.process_id == process.pid
        assert not state.holder.is_orphan
        process.communicate("\n")
    assert not observe_lock(tmp_path).is_held
    assert list(tmp_path.iterdir()) == [], "the file is removed"
    with locked(tmp_path), locked(tmp_path):
        assert observe_lock(tmp_path).is_held
    assert list(tmp_path.iterdir()) == []


def test_a_killed_process_leaves_its_name_and_no_lock(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        process.kill()
        process.wait()
    state = observe_lock(tmp_path)
    assert (state.is_held, state.holder and state.holder.process_id) == (False, process.pid)
    with locked(tmp_path):
        assert observe_lock(tmp_path).is_held


def test_a_stopped_process_keeps_it_and_its_heartbeat_gets_old(tmp_path: Path) -> None:
    with holder(tmp_path) as process:
        time.sleep(0.5)
        assert observe_lock(tmp_path).age_seconds < 30
        process.send_signal(signal.SIGSTOP)
        while not (holder_of := observe_lock(tmp_path).holder) or not holder_of.is_stopped:
            time.sleep(0.01)
        os.utime(tmp_path / ".lock", (1e9, 1e9))
        state = observe_lock(tmp_path)
        assert state.is_held, "this machine knows that the process exists"
        assert state.age_seconds > 1e6
        with pytest.raises(LockedError), locked(tmp_path, 0.2):
            pass


def test_children_do_not_keep_it(tmp_path: Path) -> None:
    """A forked worker and a program that a process starts may outlive it."""
    # The worker says when it runs: until then the fork itself may not be over.
    body = """
    import multiprocessing, subprocess
    subprocess.Popen(["sleep", "30"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    fork = multiprocessing.get_context("fork")
    fork.Process(target=lambda: (print("started", flush=True), time.sleep(30))).start()
    time.sleep(30)"""
    with holder(tmp_path, body.strip()) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n"
        process.kill()
        process.wait()
        assert not observe_lock(tmp_path).is_held


RELEASE_DURING_A_HEARTBEAT = """
import sys, threading, time
from pathlib import Path
from rnnexp.core.files import directory_lock

look = directory_lock._is_file_of
beats = []

def look_slowly(descriptor, path):
    if threading.current_thread().name == "heartbeat":
        beats.append(1)
        time.sleep(0.3)
    return look(descriptor, path)

directory_lock._is_file_of = look_slowly
directory_lock.HEARTBEAT_SECONDS = 0.01
with directory_lock.locked(Path(sys.argv[1])):
    while not beats:
        time.sleep(0.001)
time.sleep(0.5)
print("released", flush=True)
"""


def test_a_heartbeat_during_the_release_does_not_end_the_process(tmp_path: Path) -> None:
    """The file is gone then, as it is after another process has taken the lock over."""
    command = [sys.executable, "-c", RELEASE_DURING_A_HEARTBEAT, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("released\n", "", 0)


def record(path: Path, **changed: Any) -> None:
    """Write a lock file as a process of another machine leaves it."""
    values = vars(Holder.of_this_process()) | {"host": "other", "kernel": "other"} | changed
    path.write_text(json.dumps(values), encoding="utf-8")


def test_a_process_of_another_machine_counts_while_its_heartbeat_is_young(tmp_path: Path) -> None:
    """The lock of the operating system may be one of its machine alone."""
    record(tmp_path / ".lock")
    assert observe_lock(tmp_path).is_held
    with (
        pytest.raises(LockedError, match=r"is in use by process \d+ on other, which wrote \d seconds ago"),
        locked(tmp_path, 0.2),
    ):
        pass
    old = time.time() - directory_lock.STALE_SECONDS - 1
    os.utime(tmp_path / ".lock", (old, old))
    assert not observe_lock(tmp_path).is_held
    with locked(tmp_path):
        assert observe_lock(tmp_path).is_held


@pytest.mark.parametrize("body", ["write_text(directory / 'late', 'text')", "time.sleep(60)"])
def test_a_process_that_wakes_up_late_writes_nothing(tmp_path: Path, body: str) -> None:
    """It finds at its next write or heartbeat that another process has taken over."""
    with holder(tmp_path, f"{WAIT}; {body}; print('went on')") as process:
        process.send_signal(signal.SIGSTOP)
        record(tmp_path / "new")
        (tmp_path / "new").replace(tmp_path / ".lock")
        process.send_signal(signal.SIGCONT)
        stdout, stderr = process.communicate("\n", timeout=60)
    assert (process.returncode, stdout) == (1, "")
    assert stderr.startswith(f"rnnexp: another process continues {tmp_path}")
    assert stderr.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [".lock"]


def test_only_writes_in_the_directory_are_checked(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    with locked(tmp_path / "run"):
        (tmp_path / "run" / ".lock").unlink()
        write_text(tmp_path / "elsewhere", "text")


@pytest.mark.parametrize("content", ["", "{", "[]", '{"host": 3}', "\0" * 5000, json.dumps({"process_id": "1"})])
def test_a_damaged_file_names_nobody(tmp_path: Path, content: str) -> None:
    (tmp_path / ".lock").write_text(content, encoding="utf-8")
    assert observe_lock(tmp_path).holder is None
    assert not observe_lock(tmp_path).is_held
    with locked(tmp_path):
        assert observe_lock(tmp_path).holder == Holder.of_this_process()


def test_a_file_system_without_locks(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """The process that the file names decides, and one line says so."""

    def refuse(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", refuse)
    with locked(tmp_path):
        assert len(caplog.records) == 1
        assert "this file system has no locks" in caplog.text
        other = subprocess.run([sys.executable, "-c", "import os; print(os.getpid())"], capture_output=True, check=True)
        DirectoryLock.held.clear()
        assert observe_lock(tmp_path).is_held, "this process exists"
        with pytest.raises(LockedError), locked(tmp_path, 0.2):
            pass
        record(tmp_path / ".lock", **vars(Holder.of_this_process()) | {"process_id": int(other.stdout)})
        assert not observe_lock(tmp_path).is_held
        with locked(tmp_path):
            assert observe_lock(tmp_path).is_held
        DirectoryLock.held[tmp_path / ".lock"] = DirectoryLock(tmp_path)


def test_a_process_is_known_by_its_start() -> None:
    assert start_of(os.getpid()) == start_of(os.getpid())
    child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(60)"])
    assert start_of(child.pid) not in (None, start_of(os.getpid()))
    child.kill()
    while start_of(child.pid) is not None:
        time.sleep(0.01)
    child.wait()
    assert start_of(child.pid) is None


def test_a_pipe_in_place_of_the_lock_stops_no_reader(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / ".lock")
    assert not observe_lock(tmp_path).is_held
    with pytest.raises(UserError, match=r"\.lock cannot be written"), locked(tmp_path, 0.2):
        pass
