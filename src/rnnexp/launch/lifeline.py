"""A process that does not outlive the one that started it."""

import os
import signal
import threading
import time

GRACE_SECONDS = 20.0
"""How long a process may take to save what it has."""
SECONDS_BETWEEN_LOOKS = 0.5


def end_with(parent: int) -> None:
    """Ends this process when the one that started it is gone: first asked to (SIGTERM), then killed.

    Args:
        parent: process ID, as os.getppid() gave it at the start.
    """

    def watch() -> None:
        # An orphan gets another parent. That is seen on every Unix, and after any death.
        while os.getppid() == parent:
            time.sleep(SECONDS_BETWEEN_LOOKS)
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(GRACE_SECONDS)
        os.kill(os.getpid(), signal.SIGKILL)

    threading.Thread(target=watch, name="lifeline", daemon=True).start()
