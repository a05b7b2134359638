"""A job as it is sent to another machine: small, pickled by name, and going on where its last attempt ended."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

from rnnexp.cli.main import full_error_of_user
from rnnexp.tracking.run_directory import RunDirectory

SECONDS_BETWEEN_LOOKS = 0.2
# Schedulers send them to every process of a job, and who does not expect them dies of them.
FOR_SUPERVISORS = {signal.SIGUSR1, signal.SIGUSR2}


@dataclass(frozen=True)
class JobCommand:
    """The process of one job, wherever it is started: same files, same environment.

    Args:
        run_dir: holds the frozen config.
        environment: variables to set before Python starts.
        place: where the sweep's command was typed: a config may hold relative paths.
    """

    run_dir: Path
    environment: dict[str, str] = field(default_factory=dict)
    place: Path = field(default_factory=Path.cwd)
    full_error: str = field(default_factory=full_error_of_user)

    @property
    def run(self) -> RunDirectory:
        return RunDirectory(self.run_dir)

    def start(self) -> "subprocess.Popen[bytes]":
        """Starts the job, from its last checkpoint on if there is one: a scheduler may start it again unasked."""
        checkpoint = self.run.last_checkpoint
        overrides = [f"ckpt_path='{checkpoint}'"] if checkpoint.exists() else []
        command = [sys.executable, "-m", "rnnexp.sweeps.process.forkserver", str(self.run_dir), *overrides]
        environment = {**os.environ, "HYDRA_FULL_ERROR": self.full_error, **self.environment}
        # A child inherits the mask. One that comes in between waits for its handler here.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, FOR_SUPERVISORS)
        try:
            return subprocess.Popen(command, cwd=self.place, env=environment)  # noqa: S603 (our own command line)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


def end(process: "subprocess.Popen[bytes]", grace_seconds: float) -> None:
    """Asks a job to save and end, and kills it if it takes longer than that. Also within a handler of signals."""
    process.terminate()
    deadline = time.monotonic() + grace_seconds
    # Not process.wait(): a handler that interrupted one would wait for the lock that it holds.
    while process.poll() is None and time.monotonic() < deadline:
        time.sleep(SECONDS_BETWEEN_LOOKS)
    if process.poll() is None:
        process.kill()
