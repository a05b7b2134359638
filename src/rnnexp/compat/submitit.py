"""Undocumented classes of submitit: its errors, and those that detect the end of a SLURM job.

submitit.SlurmJob.done(), the public way, treats every unknown state of SLURM as the end of a job, and a job that was
preempted as unfinished forever. The classes below override `is_done` and `read_info` of the watcher,
and `watcher` of the job, whose names the documentation does not give.

The public package exports none of the errors that it raises; their common public base is Exception.
"""

import time
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError, UncompletedJobError
from submitit.slurm.slurm import SlurmInfoWatcher

__all__ = ["FailedJobError", "FailedSubmissionError", "SlurmJob", "SlurmWatcher", "UncompletedJobError"]

MAX_QUERY_SECONDS = 60
SECONDS_TO_COME_BACK = 300.0
"""The time within which a job that SLURM restarts is back in the queue."""
MAY_COME_BACK = {"NODE_FAIL", "PREEMPTED"}
ENDED = {"BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "OUT_OF_MEMORY", "TIMEOUT"}
"""States of SLURM in which no process of a job runs or will run. SLURM has more states, and may get new ones."""


class SlurmWatcher(SlurmInfoWatcher):
    """A watcher that queries SLURM about all jobs at once, and records when it first saw the current state of each."""

    def __init__(self) -> None:
        super().__init__(delay_s=MAX_QUERY_SECONDS)
        self.updated_at = -float("inf")
        """The time of the last query, from `time.monotonic`."""
        self._since: dict[str, tuple[str, float]] = {}

    def update(self) -> None:
        """Query SLURM about the jobs that have not ended."""
        self.updated_at = time.monotonic()
        super().update()

    def read_info(self, string: bytes | str) -> dict[str, dict[str, str]]:
        """Return SLURM's answer by the number of the job."""
        answer: dict[str, dict[str, str]] = super().read_info(string)
        for job_id, info in answer.items():
            state = _name(info.get("State", ""))
            if self._since.get(job_id, ("", 0.0))[0] != state:
                self._since[job_id] = state, time.monotonic()
        return answer

    def seconds_in_state(self, job_id: str) -> float:
        """Return the seconds since the watcher first saw the current state of a job."""
        return time.monotonic() - self._since[job_id][1] if job_id in self._since else 0.0

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        """Return whether no process of a job runs or will run."""
        state = _name(self.get_state(job_id, mode))
        if state in MAY_COME_BACK:
            return self.seconds_in_state(job_id) > SECONDS_TO_COME_BACK
        return state in ENDED


class SlurmJob(submitit.SlurmJob[Any]):
    """A handle of a SLURM job whose end is a final state of SLURM."""

    watcher = SlurmWatcher()

    @property
    def seconds_in_state(self) -> float:
        """The seconds since the watcher first saw the current state of the job."""
        return self.watcher.seconds_in_state(self.job_id)


def _name(state: str) -> str:
    """Return the name of a state: `CANCELLED` of `CANCELLED by 1000`."""
    return state.partition(" ")[0]
