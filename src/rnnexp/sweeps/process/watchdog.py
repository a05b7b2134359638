"""A watchdog thread that ends a process whose parent has ended."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable

from rnnexp.core.signals import GRACE_SECONDS
from rnnexp.sweeps.process.group import kill_own_group

POLL_SECONDS = 0.2
"""The interval at which another process is polled."""


def exit_with_parent(parent: int | None = None) -> Callable[[], bool]:
    """End this process when its parent has ended: with SIGTERM, and with SIGKILL after `GRACE_SECONDS`.

    Args:
        parent: the process id of the parent, which may have ended before; None for a parent that still exists.

    Returns:
        A function that returns whether the parent still exists.
    """
    is_alive = _parent_is_alive() if parent is None else lambda: os.getppid() == parent

    def watch() -> None:
        while is_alive():
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        kill_own_group()

    threading.Thread(target=watch, name="watchdog", daemon=True).start()
    return is_alive


def _parent_is_alive() -> Callable[[], bool]:
    starter = multiprocessing.parent_process()
    if starter is not None:
        # The operating system's parent is the fork server, without which a job goes on. This object is the process that
        # requested the fork.
        return starter.is_alive
    parent = os.getppid()
    # On every Unix an orphan gets another parent, however its parent ended.
    return lambda: os.getppid() == parent
