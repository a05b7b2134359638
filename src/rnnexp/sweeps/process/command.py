"""The command of one job. It can be sent to another machine, and continues from the job's last checkpoint."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from rnnexp.cli.main import full_error_of_user
from rnnexp.compat.hydra import FULL_ERROR
from rnnexp.core.signals import blocked
from rnnexp.sweeps.process.watchdog import POLL_SECONDS
from rnnexp.tracking.run_directory import RunDirectory

SUPERVISOR_SIGNALS = (signal.SIGUSR1, signal.SIGUSR2)
"""Signals that schedulers send to every process of a job; they end a process that has no handler for them."""


@dataclass(frozen=True)
class JobCommand:
    """The command that starts the process of one job, with the same files and environment on every machine.

    Args:
        run_dir: the run directory, which holds the frozen config.
        environment: variables to set before Python starts.
        working_directory: the working directory of the sweep's command; a config may hold relative paths.
        full_error: HYDRA_FULL_ERROR as the user set it.
    """

    run_dir: Path
    environment: dict[str, str] = field(default_factory=dict)
    working_directory: Path = field(default_factory=Path.cwd)
    full_error: str = field(default_factory=full_error_of_user)

    @property
    def run(self) -> RunDirectory:
        """The run directory."""
        return RunDirectory(self.run_dir)

    def start(self) -> "subprocess.Popen[bytes]":
        """Start the job, which continues from its last checkpoint: a scheduler may start a job again by itself."""
        command = [sys.executable, "-m", "rnnexp.sweeps.process.forkserver", str(self.run_dir)]
        environment = {**os.environ, FULL_ERROR: self.full_error, **self.environment}
        # The child inherits the mask.
        with blocked(SUPERVISOR_SIGNALS):
            return subprocess.Popen(command, cwd=self.working_directory, env=environment)  # noqa: S603 (a fixed command)


def stop_process(process: "subprocess.Popen[bytes]", grace_seconds: float) -> None:
    """Ask a job to save and end, and kill it after `grace_seconds`. It may be called from signal handlers."""
    process.terminate()
    deadline = time.monotonic() + grace_seconds
    # A signal handler that calls process.wait() deadlocks if it interrupted process.wait(), which holds a lock.
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(POLL_SECONDS)
    if process.poll() is None:
        process.kill()
