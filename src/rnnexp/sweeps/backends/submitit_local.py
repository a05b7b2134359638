"""The jobs of a sweep as processes of submitit on this machine: the way of a SLURM job without SLURM."""

import os
import signal
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import submitit
from filelock import FileLock

from rnnexp.sweeps.backends.base import Submitted
from rnnexp.sweeps.backends.machine import MachineEngine
from rnnexp.sweeps.backends.submitit_task import SubmittedJob, folder_of, make_executor, told_by_submitit
from rnnexp.sweeps.devices import Allocation
from rnnexp.sweeps.jobs import Job
from rnnexp.sweeps.process.command import JobCommand
from rnnexp.sweeps.process.watchdog import GRACE_SECONDS


@dataclass
class LocalSubmitted(Submitted):
    handle: submitit.Job[int]

    def has_ended(self) -> bool:
        return bool(self.handle.done())

    def exit_reason(self) -> str:
        return told_by_submitit(self.handle, "its process was killed")


class LocalEngine(MachineEngine[LocalSubmitted]):
    """As many at once as this machine has devices for; all end with the sweep's command.

    Of its settings those that are meant for a cluster are ignored, as submitit does: what a job needs is in its config.
    """

    def __init__(self, settings: Mapping[str, Any]) -> None:
        super().__init__(settings, at_once=settings["array_parallelism"])
        self.require_positive("timeout_min", optional=("array_parallelism",))
        self.folder = folder_of(settings)
        self.watchdog = FileLock(self.folder / f"{os.getpid()}.lock")

    @cached_property
    def executor(self) -> submitit.AutoExecutor:
        return make_executor(
            "local", self.settings, {name: self.settings[name] for name in ("timeout_min", "stderr_to_stdout")}
        )

    def start(self, job: Job, allocation: Allocation) -> LocalSubmitted:
        command = JobCommand(job.run.path, allocation.environment)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.watchdog.acquire()
        # Ctrl-C at the terminal is for the sweep, which asks its jobs to save: they inherit being deaf to it.
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            handle = self.executor.submit(SubmittedJob(command, GRACE_SECONDS, Path(self.watchdog.lock_file)))
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        job.status = "queued"
        return LocalSubmitted(job, allocation, handle)

    def ask_to_stop(self, entries: Sequence[LocalSubmitted]) -> None:
        for entry in entries:
            # Not submitit's cancel(), which gives a job one second. Its controller hands a SIGTERM on, once it can.
            if not entry.has_ended():
                os.kill(int(entry.handle.job_id), signal.SIGTERM)
