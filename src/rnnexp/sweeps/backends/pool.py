"""The jobs of a sweep on one machine, each a process that is forked from a server of ours."""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.connection import wait
from multiprocessing.context import ForkServerContext, ForkServerProcess
from typing import Any

from rnnexp.cli.main import full_error_of_user
from rnnexp.sweeps.backends.base import Submitted
from rnnexp.sweeps.backends.machine import MachineEngine
from rnnexp.sweeps.devices import Allocation
from rnnexp.sweeps.jobs import Job, exit_reason
from rnnexp.sweeps.process.forkserver import run_job, start_server
from rnnexp.sweeps.process.watchdog import GRACE_SECONDS


@dataclass
class JobProcess(Submitted):
    process: ForkServerProcess

    def has_begun(self) -> bool:
        return True

    def has_ended(self) -> bool:
        return self.process.exitcode is not None

    def exit_reason(self) -> str:
        return exit_reason(self.process.exitcode)


class Pool(MachineEngine[JobProcess]):
    """The next job starts the moment that one ends.

    Args:
        settings: of the launcher. `jobs` is how many run at once, at most; `auto` is as many as there are devices for:
            GPUs times `jobs_per_device`, or cores of the CPU divided by `num_threads`.
    """

    server: ForkServerContext

    def __init__(self, settings: Mapping[str, Any]) -> None:
        jobs = settings["jobs"]
        super().__init__(settings, None if jobs == "auto" else jobs, settings["jobs_per_device"])
        self.require_positive("jobs_per_device", *([] if jobs == "auto" else ["jobs"]))

    def preload(self) -> None:
        self.server = start_server()

    def start(self, job: Job, allocation: Allocation) -> JobProcess:
        overrides = [f"ckpt_path='{job.run.last_checkpoint}'"] if job.resumes else []
        environment = {**allocation.environment, "HYDRA_FULL_ERROR": full_error_of_user()}
        process = self.server.Process(target=run_job, args=(job.run.path, overrides, environment))
        process.start()
        return JobProcess(job, allocation, process)

    def wait(self) -> None:
        wait([entry.process.sentinel for entry in self.submitted], timeout=self.seconds_between_looks)

    def ask_to_stop(self, entries: Sequence[JobProcess]) -> None:
        """First with SIGTERM, so that the job saves what it has; past the grace with SIGKILL."""
        for entry in entries:
            if entry.asked is None:
                entry.process.terminate()
            elif time.monotonic() - entry.asked > GRACE_SECONDS:
                entry.process.kill()
