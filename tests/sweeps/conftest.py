"""The end of what a test of sweeps has started."""

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.sweeps import processes_of, started


@pytest.fixture(autouse=True)
def _no_process_is_left(tmp_path: Path) -> Iterator[None]:
    """Kill what a test has left. One that fails ends nothing, and some of its jobs would train for days."""
    yield
    while found := processes_of(tmp_path):
        for process in found:
            # It may end by itself.
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    while started:
        # One that nobody has waited for would make a later test fail.
        with started.pop() as command:
            command.kill()
