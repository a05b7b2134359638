"""A backend that runs jobs on this machine as processes forked from a server of the sweep."""

import os
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerProcess
from typing import Any

from rnnexp.cli.main import full_error_of_user
from rnnexp.compat.hydra import FULL_ERROR
from rnnexp.core.errors import UserError
from rnnexp.core.files.directory_lock import start_of
from rnnexp.core.signals import GRACE_SECONDS
from rnnexp.sweeps.backends.base import Ended, JobState, SubmittedJob
from rnnexp.sweeps.backends.machine import MachineBackend
from rnnexp.sweeps.devices import Allocation
from rnnexp.sweeps.jobs import Job
from rnnexp.sweeps.process.forkserver import run_job, start_server
from rnnexp.sweeps.process.group import kill_group
from rnnexp.tracking.status import Status

UNREPORTED = 255
"""The exit code that multiprocessing gives a process whose server was killed."""
NUM_STARTS = 5
"""How often the start of a process is tried: the server may be killed meanwhile, and another one is started."""


@dataclass
class JobProcess(SubmittedJob):
    """A job and its process.

    Args:
        process: the process, whose exit code the server reports.
        started: the time at which it started, see `start_of`.
    """

    process: ForkServerProcess
    started: str | None

    @property
    def is_running(self) -> bool:
        """Whether the process exists."""
        return self.process.exitcode is None or self.is_cut_off

    @property
    def is_cut_off(self) -> bool:
        """Whether the process exists and its server was killed, so that its exit code will not be reported."""
        is_same = self.started is not None and start_of(self.process.pid or 0) == self.started
        return self.process.exitcode == UNREPORTED and is_same

    def poll(self) -> JobState:
        code = self.process.exitcode
        if code is None or self.is_cut_off:
            return Status.RUNNING
        return Ended("the fork server of the sweep was killed") if code == UNREPORTED else Ended.with_code(code)

    def send(self, number: int) -> None:
        """Send a signal to the process if it runs."""
        if self.is_running and self.process.pid is not None:
            with suppress(ProcessLookupError):
                os.kill(self.process.pid, number)


class PoolBackend(MachineBackend[JobProcess]):
    """A backend that starts the next job as soon as one ends.

    Args:
        settings: the fields of the launcher's config. `jobs` is the number of jobs that run at once; `auto` means as
            many as the devices allow: GPUs times `jobs_per_device`, or cores divided by `num_threads`.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        jobs = settings["jobs"]
        super().__init__(settings, None if jobs == "auto" else jobs, settings["jobs_per_device"])
        self.require_positive("jobs_per_device", *([] if jobs == "auto" else ["jobs"]))

    def preload(self) -> None:
        start_server()

    def start(self, job: Job, allocation: Allocation) -> JobProcess:
        environment = {**allocation.environment, FULL_ERROR: full_error_of_user()}
        process = self._start_process(job.run.path, environment)
        return JobProcess(job, allocation, process, start_of(process.pid or 0))

    def _start_process(self, *arguments: Any) -> ForkServerProcess:  # noqa: ANN401
        for _ in range(NUM_STARTS):
            # The server may have been killed since the last job: then another one is started.
            process = start_server().Process(target=run_job, args=arguments)
            try:
                process.start()
            except (EOFError, ConnectionError):
                time.sleep(self.poll_seconds)
            else:
                return process
        raise UserError(f"the server from which jobs are forked was killed {NUM_STARTS} times: is there enough memory?")

    def wait(self) -> None:
        # The sentinel of a process without a server is always ready.
        sentinels = [entry.process.sentinel for entry in self.submitted if not entry.is_cut_off]
        if sentinels:
            wait(sentinels, timeout=self.poll_seconds)
        else:
            time.sleep(self.poll_seconds)

    def release(self, entry: JobProcess) -> None:
        kill_group(entry.process.pid)
        super().release(entry)

    def request_stop(self, entries: Sequence[JobProcess]) -> None:
        """Send SIGTERM, on which a job saves its state and ends."""
        for entry in entries:
            entry.send(signal.SIGTERM)

    def enforce_stop(self, entries: Sequence[JobProcess]) -> None:
        """Kill jobs that have not ended within `GRACE_SECONDS`."""
        for entry in entries:
            if entry.stop is not None and time.monotonic() - entry.stop.requested_at > GRACE_SECONDS:
                entry.send(signal.SIGKILL)
