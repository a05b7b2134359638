"""A watchdog thread, which ends a process whose parent has died."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable

from rnnexp.core.signals import GRACE_SECONDS

POLL_SECONDS = 0.2
"""The time between two looks at another process."""


def exit_with_parent() -> None:
    """End this process when the one that started it is gone: with SIGTERM, and with SIGKILL after `GRACE_SECONDS`.

    It must be called at the start of a process, while its parent certainly exists.
    """
    is_alive = _parent_is_alive()

    def watch() -> None:
        while is_alive():
            time.sleep(POLL_SECONDS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="watchdog", daemon=True).start()


def _parent_is_alive() -> Callable[[], bool]:
    starter = multiprocessing.parent_process()
    if starter is not None:
        # The parent process is the fork server, which lives as long as any of its children. This is the process that
        # asked the server to fork.
        return starter.is_alive
    parent = os.getppid()
    # An orphan gets another parent, on every Unix and however its parent died.
    return lambda: os.getppid() == parent
