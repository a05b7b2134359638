"""A process ends with its parent."""

import signal
import subprocess
import sys

import pytest

CODE = "import sys, time; from rnnexp.sweeps.process.watchdog import exit_with_parent; {call}; time.sleep(120)"


@pytest.mark.parametrize("call", ["exit_with_parent(2**22 + 1)", "exit_with_parent(1)"])
def test_a_parent_that_has_ended_before(call: str) -> None:
    process = subprocess.run([sys.executable, "-c", CODE.format(call=call)], check=False, timeout=100)
    assert process.returncode == -signal.SIGTERM


def test_a_parent_that_ends() -> None:
    """The parent prints the process that it has started, and ends."""
    start = f"import subprocess, sys; p = subprocess.Popen([sys.executable, '-c', {CODE!r}.format(call=sys.argv[1])])"
    program = f"{start}; import time; time.sleep(3); print(p.pid, p.poll())"
    done = subprocess.run(
        [sys.executable, "-c", program, "exit_with_parent()"], check=True, capture_output=True, text=True, timeout=100
    )
    # The pipe of the output is closed when the last process that has it has ended.
    assert done.stdout.split()[1] == "None"
