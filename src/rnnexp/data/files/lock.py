"""A lock on a directory, so that only one process at a time works in it."""

import logging
from contextlib import AbstractContextManager
from pathlib import Path

from filelock import FileLock, Timeout

from rnnexp.core.errors import UserError

log = logging.getLogger(__name__)


def lock_directory(directory: Path, activity: str, key: str = "data.root") -> AbstractContextManager[object]:
    """Make a directory and lock it for this process, as a context manager; wait while another process has the lock.

    Args:
        directory: the directory.
        activity: the work in it, for the message of processes that wait: `fetching the corpus 'multi30k'`.
        key: the config key that names another directory.

    Raises:
        UserError: if the directory cannot be made or written to.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
        lock = FileLock(directory / ".lock")
        try:
            return lock.acquire(timeout=0)
        except Timeout:
            log.info("another process is %s; waiting for it", activity)
            return lock.acquire()
    except OSError as error:
        raise UserError(
            f"{directory}: cannot be written to ({error.strerror or error}): name another place with {key}="
        ) from error
