"""A lock on a directory, held by the one process that may write there."""

import errno
import fcntl
import json
import logging
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar, NoReturn, Self

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import before_write

log = logging.getLogger(__name__)

LOCK_NAME = ".lock"
HEARTBEAT_SECONDS = 10.0
"""The interval at which a process renews the modification time of its lock file."""
STALE_SECONDS = 120.0
"""The age of a heartbeat at which a process of another machine counts as gone."""
ACQUIRE_SECONDS = 2.0
"""How long to try: a reader that probes the lock holds it for a moment, and so does a process that is being ended."""
UNSUPPORTED = (errno.ENOLCK, errno.ENOTSUP, errno.ENOSYS, errno.EINVAL)
"""The errors of file systems without locks."""


class LockedError(UserError):
    """Another process holds the lock."""


@dataclass(frozen=True)
class Holder:
    """The process that a lock file names.

    Args:
        host: the name of its machine.
        kernel: an identifier of the machine since its last start.
        process_id, started: the process and the time of its start, which together identify it on this machine.
        parent_id, parent_started: the same for the process that started it.
    """

    host: str
    kernel: str
    process_id: int
    started: str
    parent_id: int
    parent_started: str

    @classmethod
    def of_this_process(cls) -> Self:
        process_id, parent_id = os.getpid(), _starter()
        started = start_of(process_id) or "", start_of(parent_id) or ""
        return cls(platform.node(), _kernel(), process_id, started[0], parent_id, started[1])

    def __str__(self) -> str:
        return f"process {self.process_id} on {self.host}"

    @property
    def is_here(self) -> bool:
        """Whether it is a process of this machine, since the machine has started."""
        return (self.host, self.kernel) == (platform.node(), _kernel())

    @property
    def is_gone(self) -> bool:
        """Whether the process is known to have ended. That of another machine is never known to have."""
        return self.is_here and start_of(self.process_id) != self.started

    @property
    def is_orphan(self) -> bool:
        """Whether the process exists on this machine, and the process that started it does not."""
        return self.is_here and not self.is_gone and start_of(self.parent_id) != self.parent_started

    @property
    def is_stopped(self) -> bool:
        """Whether the process is stopped, as by SIGSTOP."""
        return self.is_here and (_stat(self.process_id) or [""])[0] in ("T", "t")


@dataclass(frozen=True)
class LockState:
    """The lock of a directory as another process sees it.

    Args:
        holder: the process that holds it, or held it last and has not released it; None without one.
        is_held: whether that process still exists, as far as can be known.
        age_seconds: the time since its last heartbeat.
    """

    holder: Holder | None = None
    is_held: bool = False
    age_seconds: float = 0.0


class DirectoryLock:
    """An exclusive lock on a directory.

    The lock file names the process, and its modification time is a heartbeat. The lock is that of the operating system
    (`flock`), which ends with the process. Where the file system has none, process and heartbeat decide. A process that
    finds that its lock was taken over, since it was silent for too long, ends at once and writes nothing.

    Args:
        directory: the directory, which must exist.
    """

    held: ClassVar[dict[Path, "DirectoryLock"]] = {}
    """The locks of this process."""

    def __init__(self, directory: Path) -> None:
        self.path = directory.resolve() / LOCK_NAME
        self._descriptor: int | None = None
        self._released = threading.Event()
        # The heartbeat must not find that the file is gone while it is released.
        self._beating = threading.Lock()

    def acquire(self, seconds: float = ACQUIRE_SECONDS) -> None:
        """Take the lock.

        Args:
            seconds: how long to try.

        Raises:
            LockedError: if another process holds it.
            UserError: if the lock file cannot be written.
        """
        deadline = time.monotonic() + seconds
        while self._descriptor is None:
            try:
                self._try_acquire()
            except LockedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.05)
            except OSError as error:
                raise UserError(f"{self.path} cannot be written: {error.strerror or error}") from None
        self.held[self.path] = self
        before_write.append(self._check_write)
        threading.Thread(target=self._beat, name="heartbeat", daemon=True).start()

    def release(self) -> None:
        """Release the lock and remove its file."""
        if self._descriptor is None:
            return
        self._released.set()
        before_write.remove(self._check_write)
        del self.held[self.path]
        with self._beating:
            descriptor, self._descriptor = self._descriptor, None
            if _is_file_of(descriptor, self.path):
                # While it is locked: another process may not have locked a file that has no name any more.
                self.path.unlink(missing_ok=True)
            os.close(descriptor)

    def require_held(self) -> None:
        """End this process at once if another has taken the lock over."""
        if self._descriptor is not None and not _is_file_of(self._descriptor, self.path):
            _leave(self.path)

    def _check_write(self, path: Path) -> None:
        if path.resolve().is_relative_to(self.path.parent):
            self.require_held()

    def forget(self) -> None:
        """Close the lock file in a forked process, which would otherwise keep the lock after this process has ended."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _try_acquire(self) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o666)
        try:
            self._require_free(descriptor)
            os.ftruncate(descriptor, 0)
            os.pwrite(descriptor, json.dumps(asdict(Holder.of_this_process())).encode(), 0)
        except BaseException:
            os.close(descriptor)
            raise
        self._descriptor = descriptor

    def _require_free(self, descriptor: int) -> None:
        """Lock the file, or raise LockedError."""
        is_locked = _flock(descriptor, fcntl.LOCK_EX)
        holder, age = _read(descriptor), _age(descriptor)
        if is_locked is None and holder is None:
            log.warning("%s: this file system has no locks; start no second process there", self.path.parent)
        if is_locked is False and (holder is None or holder.is_here or age <= STALE_SECONDS):
            raise LockedError(f"{self.path.parent} is in use by {holder or 'another process'}")
        if holder is not None and not _is_over(holder, age, is_locked=is_locked):
            raise LockedError(
                f"{self.path.parent} is in use by {holder}, which wrote {age:.0f} seconds ago; if it has ended, wait "
                f"until that is {STALE_SECONDS:.0f} seconds"
            )
        if not _is_file_of(descriptor, self.path):
            raise LockedError(f"{self.path.parent} is in use by another process")
        if holder is not None and (is_locked is None or not holder.is_here):
            # The process may only be asleep: with another file in its place it finds that it has lost the lock.
            self.path.unlink(missing_ok=True)
            raise LockedError(f"{self.path.parent} is in use by {holder}")

    def _beat(self) -> None:
        while not self._released.wait(HEARTBEAT_SECONDS):
            with self._beating:
                if self._descriptor is None:
                    return
                self.require_held()
                # The file system may be away for a while.
                with suppress(OSError):
                    os.utime(self._descriptor)


@contextmanager
def locked(directory: Path, seconds: float = ACQUIRE_SECONDS) -> Iterator[None]:
    """Hold the lock of a directory within the block. A process that holds it already keeps it after the block.

    Raises:
        LockedError: if another process holds it.
    """
    lock = DirectoryLock(directory)
    if lock.path in DirectoryLock.held:
        yield
        return
    lock.acquire(seconds)
    try:
        yield
    finally:
        lock.release()


def observe_lock(directory: Path) -> LockState:
    """Return the state of the lock of a directory. No file is changed."""
    path = directory.resolve() / LOCK_NAME
    if path in DirectoryLock.held:
        return LockState(Holder.of_this_process(), is_held=True)
    try:
        # Without O_NONBLOCK the opening of a pipe would wait for a writer.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return LockState()
    try:
        is_free = _flock(descriptor, fcntl.LOCK_SH)
        holder, age = _read(descriptor), _age(descriptor)
        is_held = is_free is False or (holder is not None and not _is_over(holder, age, is_locked=is_free))
        return LockState(holder, is_held, age)
    except OSError:
        return LockState()
    finally:
        os.close(descriptor)


def start_of(process_id: int) -> str | None:
    """Return the time at which a process started, as the system counts; None if there is no such process."""
    fields = _stat(process_id)
    if fields is not None:
        # A process that has ended and whose parent has not asked for its exit status is gone.
        return None if fields[0] in ("Z", "X") else fields[19]
    if Path("/proc/self").exists():
        return None
    try:
        os.kill(process_id, 0)
    except ProcessLookupError:
        return None
    except PermissionError:
        pass
    return "unknown"


def _stat(process_id: int) -> list[str] | None:
    try:
        return Path(f"/proc/{process_id}/stat").read_text(encoding="utf-8", errors="replace").rpartition(")")[2].split()
    except OSError:
        return None


def _starter() -> int:
    import multiprocessing

    starter = multiprocessing.parent_process()
    # The parent of a process of a fork server is the server.
    return os.getppid() if starter is None or starter.pid is None else starter.pid


def _kernel() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="utf-8").strip()
    except OSError:
        return ""


def _flock(descriptor: int, kind: int) -> bool | None:
    """Lock a file without waiting. Return whether it is locked now; None if the file system has no locks."""
    try:
        fcntl.flock(descriptor, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno in UNSUPPORTED:
            return None
        raise
    return True


def _is_over(holder: Holder, age: float, *, is_locked: bool | None) -> bool:
    """Return whether the process that a lock file names has ended, or has been silent for too long.

    Args:
        holder: the process.
        age: the seconds since its last heartbeat.
        is_locked: whether this process could lock the file; None if the file system has no locks.
    """
    if holder.is_here:
        return is_locked is True or holder.is_gone
    # The lock may be one of this machine alone.
    return age > STALE_SECONDS


def _read(descriptor: int) -> Holder | None:
    try:
        content = json.loads(os.pread(descriptor, 4096, 0))
        holder = Holder(**content)
    except (ValueError, TypeError, RecursionError):
        return None
    kinds = {field: type(getattr(holder, field)) for field in content}
    is_valid = all(kind is (int if name.endswith("_id") else str) for name, kind in kinds.items())
    return holder if is_valid else None


def _age(descriptor: int) -> float:
    # A clock may have been set back.
    return max(0.0, time.time() - os.fstat(descriptor).st_mtime)


def _is_file_of(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat(follow_symlinks=False))
    except OSError:
        return False


def _leave(path: Path) -> NoReturn:
    print(f"rnnexp: another process continues {path.parent}: this one ends, and writes nothing", file=sys.stderr)
    sys.stderr.flush()
    # Not an exception: whatever handles one would write to the directory.
    os._exit(1)


def _forget_all() -> None:
    for lock in DirectoryLock.held.values():
        lock.forget()
    DirectoryLock.held.clear()
    before_write.clear()


os.register_at_fork(after_in_child=_forget_all)
