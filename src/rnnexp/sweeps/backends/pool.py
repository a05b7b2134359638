"""A backend that runs jobs on this machine as processes forked from a server of the sweep."""

import os
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from pathlib import Path
from typing import Any

from rnnexp.cli.main import full_error_of_user
from rnnexp.compat.hydra import FULL_ERROR
from rnnexp.core.signals import GRACE_SECONDS
from rnnexp.sweeps.backends.base import Ended, JobState, SubmittedJob
from rnnexp.sweeps.backends.machine import MachineBackend
from rnnexp.sweeps.devices import Allocation
from rnnexp.sweeps.jobs import Job
from rnnexp.sweeps.process.forkserver import run_job, start_server
from rnnexp.sweeps.process.group import kill_group
from rnnexp.tracking.status import Status

LOST_SERVER = 255
"""The exit code that multiprocessing reports for every process whose fork server has ended."""


@dataclass
class JobProcess(SubmittedJob):
    """A job and its process."""

    process: ForkServerProcess

    def poll(self) -> JobState:
        code = self.process.exitcode
        # Without the fork server the exit code is lost at once, but the job may still save.
        if code is None or (code == LOST_SERVER and _is_running(self.process.pid)):
            return Status.RUNNING
        return Ended("the fork server of the sweep was killed") if code == LOST_SERVER else Ended.with_code(code)


class PoolBackend(MachineBackend[JobProcess]):
    """A backend that starts the next job as soon as one ends.

    Args:
        settings: the fields of the launcher's config. `jobs` is the number of jobs that run at once; `auto` means as
            many as the devices allow: GPUs times `jobs_per_device`, or cores divided by `num_threads`.
    """

    server: ForkServerContext

    def __init__(self, settings: Mapping[str, Any]) -> None:
        jobs = settings["jobs"]
        super().__init__(settings, None if jobs == "auto" else jobs, settings["jobs_per_device"])
        self.require_positive("jobs_per_device", *([] if jobs == "auto" else ["jobs"]))

    def preload(self) -> None:
        self.server = start_server()

    def start(self, job: Job, allocation: Allocation) -> JobProcess:
        # The server may have been killed since the last job.
        self.server = start_server()
        environment = {**allocation.environment, FULL_ERROR: full_error_of_user()}
        process = self.server.Process(target=run_job, args=(job.run.path, environment))
        process.start()
        return JobProcess(job, allocation, process)

    def wait(self) -> None:
        wait([entry.process.sentinel for entry in self.submitted], timeout=self.poll_seconds)

    def release(self, entry: JobProcess) -> None:
        kill_group(entry.process.pid)
        super().release(entry)

    def request_stop(self, entries: Sequence[JobProcess]) -> None:
        """Send SIGTERM, on which a job saves its state and ends."""
        for entry in entries:
            entry.process.terminate()

    def enforce_stop(self, entries: Sequence[JobProcess]) -> None:
        """Kill jobs that have not ended within `GRACE_SECONDS`."""
        for entry in entries:
            if entry.stop is not None and time.monotonic() - entry.stop.requested_at > GRACE_SECONDS:
                entry.process.kill()


def _is_running(pid: int | None) -> bool:
    """Return whether a process exists that is not a child of this one and has not ended."""
    if pid is None:
        return False
    try:
        os.kill(pid, 0)
        # An ended process stays until its parent has read its exit code: in a container perhaps for ever.
        return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    except FileNotFoundError:
        # This system has no /proc, or the process has just ended.
        return not Path("/proc/self").exists()
    except OSError:
        return False
