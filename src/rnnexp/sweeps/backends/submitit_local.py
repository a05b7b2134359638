"""A backend that runs jobs on this machine with submitit, in the same way as on SLURM."""

import os
import signal
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import submitit

from rnnexp.core.files.directory_lock import Holder
from rnnexp.core.signals import GRACE_SECONDS, blocked
from rnnexp.sweeps.backends.base import Ended, JobState, SubmittedJob
from rnnexp.sweeps.backends.machine import MachineBackend
from rnnexp.sweeps.backends.submitit_task import SubmititTask, end_of_submitit_job, make_executor, submitit_folder
from rnnexp.sweeps.devices import Allocation
from rnnexp.sweeps.jobs import Job
from rnnexp.sweeps.process.command import JobCommand
from rnnexp.tracking.status import Status


@dataclass
class LocalJob(SubmittedJob):
    """A job and submitit's handle of its process."""

    handle: submitit.Job[None]

    def poll(self) -> JobState:
        if not self.handle.done():
            return self.recorded_state
        return end_of_submitit_job(self.handle, "its process was killed")


class SubmititLocalBackend(MachineBackend[LocalJob]):
    """A backend that runs as many jobs at once as the devices of this machine allow. Jobs end with the sweep's command.

    Args:
        settings: the fields of the launcher's config. Settings for clusters are ignored, as in submitit: a job gets
            the devices that its config requests.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings, max_running=settings["array_parallelism"])
        self.require_positive("timeout_min", optional=("array_parallelism",))

    @cached_property
    def executor(self) -> submitit.AutoExecutor:
        """The executor of submitit; created when the first job starts."""
        parameters = {name: self.settings[name] for name in ("timeout_min", "stderr_to_stdout")}
        return make_executor("local", submitit_folder(self.settings, uuid.uuid4().hex), self.settings, parameters)

    def start(self, job: Job, allocation: Allocation) -> LocalJob:
        command = JobCommand(job.run.path, allocation.environment)
        task = SubmititTask(command, GRACE_SECONDS, Holder.of_this_process())
        # Ctrl-C at the terminal must reach only the sweep, which stops its jobs. The jobs inherit the mask.
        with blocked((signal.SIGINT,)):
            handle = self.executor.submit(task)
        job.status = Status.QUEUED
        return LocalJob(job, allocation, handle)

    def request_stop(self, entries: Sequence[LocalJob]) -> None:
        """Send SIGTERM. The method cancel() of submitit would give a job only one second to save."""
        for entry in entries:
            if not isinstance(entry.poll(), Ended):
                os.kill(int(entry.handle.job_id), signal.SIGTERM)

    def enforce_stop(self, entries: Sequence[LocalJob]) -> None:
        """Send SIGTERM again, since submitit's controller forwards it only after it has started the job."""
        self.request_stop(entries)
