"""A process that does not outlive the one that started it."""

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable

GRACE_SECONDS = 20.0
"""How long a process may take to save what it has."""
SECONDS_BETWEEN_LOOKS = 0.5


def exit_with_parent() -> None:
    """Ends this process when the one that started it is gone: first asked to (SIGTERM), then killed."""
    # To be called at the start, while that process is surely there.
    is_alive = _parent_is_alive()

    def watch() -> None:
        while is_alive():
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="watchdog", daemon=True).start()


def _parent_is_alive() -> Callable[[], bool]:
    starter = multiprocessing.parent_process()
    if starter is not None:
        # Forked by a server, which lives as long as any process that it forked: the one who asked it to is meant.
        return starter.is_alive
    parent = os.getppid()
    # An orphan gets another parent. That is seen on every Unix, and after any death.
    return lambda: os.getppid() == parent
