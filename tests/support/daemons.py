"""Daemons that tests start on this machine: free ports, and waiting until one is ready."""

import contextlib
import socket
import time
from collections.abc import Callable

SECONDS_TO_START = 60


def free_ports(count: int) -> list[int]:
    """Return ports that are free now."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [each.getsockname()[1] for each in sockets]


def wait_until_ready(condition: Callable[[], object], what: str) -> None:
    deadline = time.monotonic() + SECONDS_TO_START
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not ready after {SECONDS_TO_START} seconds")
        time.sleep(0.2)
