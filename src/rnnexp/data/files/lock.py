"""A lock on a directory, so that only one process at a time works in it."""

import logging
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import BaseFileLock, FileLock, SoftFileLock, Timeout

from rnnexp.core.errors import UserError
from rnnexp.core.files.directory_lock import UNSUPPORTED

log = logging.getLogger(__name__)


def lock_directory(directory: Path, activity: str, key: str = "data.root") -> AbstractContextManager[object]:
    """Make a directory and lock it for this process, as a context manager; wait while another process has the lock.

    On a file system without locks a second file stands for the lock.

    Args:
        directory: the directory.
        activity: the work in it, for the message of processes that wait: `fetching the corpus 'multi30k'`.
        key: the config key that names another directory.

    Raises:
        UserError: if the directory cannot be made or written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        try:
            return _acquire(FileLock(directory / ".lock"), activity)
        except OSError as error:
            if error.errno not in UNSUPPORTED:
                raise
            # The existence of a file is the lock, which names its process. One that has ended on this machine is none.
            return _acquire(SoftFileLock(directory / ".soft_lock"), activity)
    except OSError as error:
        raise UserError(
            f"{directory}: cannot be written to ({error.strerror or error}): name another place with {key}="
        ) from error


def _acquire(lock: BaseFileLock, activity: str) -> AbstractContextManager[object]:
    try:
        return lock.acquire(timeout=0)
    except Timeout:
        log.info("another process is %s; waiting for it", activity)
        return lock.acquire()
