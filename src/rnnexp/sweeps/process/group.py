"""The process group of a job: the job and the processes that it started, data workers and commands of a callback."""

import os
import signal
from contextlib import suppress


def is_group_leader() -> bool:
    """Return whether this process leads a process group, as a job does."""
    return os.getpgrp() == os.getpid()


def kill_group(leader: int | None) -> None:
    """Kill what is left of the process group of a job that has ended.

    The number of a group is not used again while it has members. Processes that left the group, with a session of their
    own, are not reached.

    Args:
        leader: the process id of the job; None if it was not started.
    """
    if leader is not None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(leader, signal.SIGKILL)


def kill_own_group() -> None:
    """Kill this process and those that it started, or only this process if it does not lead a group."""
    if is_group_leader():
        os.killpg(os.getpgrp(), signal.SIGKILL)
    os.kill(os.getpid(), signal.SIGKILL)
