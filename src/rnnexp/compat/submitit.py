"""Undocumented classes of submitit: its errors, and those that detect the end of a SLURM job.

submitit.SlurmJob.done(), the public way, asks only accounting, which reports the end of a job before its processes have
ended, and treats every unknown state as the end. The classes below override `update` and `is_done` of the watcher, and
`watcher` of the job, whose names the documentation does not give.

The public package exports none of the errors that it raises; their common public base is Exception.
"""

import subprocess
import time
from collections.abc import Iterable
from typing import Any

import submitit
from submitit.core.utils import FailedJobError, FailedSubmissionError, UncompletedJobError
from submitit.slurm.slurm import SlurmInfoWatcher

__all__ = ["FailedJobError", "FailedSubmissionError", "SlurmJob", "SlurmWatcher", "UncompletedJobError", "scripts_of"]

MAX_QUERY_SECONDS = 60
GONE = "unknown to SLURM"
"""The state of a job that is not in the queue, and of which accounting reports no end."""
ENDED = {
    *("BOOT_FAIL", "CANCELLED", "COMPLETED", "DEADLINE", "FAILED", "NODE_FAIL", "OUT_OF_MEMORY", "PREEMPTED"),
    *("TIMEOUT", GONE),
}
"""States in which no process of a job runs or will run. SLURM has more states, and may get new ones."""
UNKNOWN_JOB = "Invalid job id"
"""The error of squeue if it is asked about one job that is not in the queue; of several jobs it omits those."""


class SlurmWatcher(SlurmInfoWatcher):
    """A watcher that queries SLURM about all jobs at once.

    The queue, which slurmctld holds, says which jobs have ended: a job that SLURM will start again stays in it. It
    forgets jobs some minutes after their end; how these ended is in accounting.
    """

    def __init__(self) -> None:
        super().__init__(delay_s=MAX_QUERY_SECONDS)
        self.updated_at = -float("inf")
        """The time of the last query, from `time.monotonic`."""
        self.error = ""
        """The error of the last query; empty if SLURM answered."""

    def update(self) -> None:
        """Query SLURM about the jobs that have not ended. Without an answer their states stay as they were."""
        jobs = self._registered - self._finished
        if jobs:
            numbers = "--jobs=" + ",".join(sorted({job.partition("_")[0] for job in jobs}))
            queue, self.error = _query("squeue", "--noheader", "--array", "--states=all", "--format=%i|%T", numbers)
            if not self.error:
                if absent := jobs - queue.keys():
                    accounting, _ = _query("sacct", "--noheader", "-P", "-X", "--format=JobID,State", numbers)
                    ends = {job: state for job, state in accounting.items() if _name(state) in ENDED}
                    queue |= {job: ends.get(job, GONE) for job in absent}
                self._info_dict |= {job: {"State": _name(queue[job])} for job in jobs}
                self._finished |= {job for job in jobs if self.is_done(job, mode="cache")}
        self.updated_at, self._last_status_check = time.monotonic(), time.time()

    def is_done(self, job_id: str, mode: str = "standard") -> bool:
        """Return whether no process of a job runs or will run."""
        return self.get_state(job_id, mode) in ENDED


class SlurmJob(submitit.SlurmJob[Any]):
    """A handle of a SLURM job whose end is a final state of SLURM."""

    watcher = SlurmWatcher()


def scripts_of(jobs: Iterable[SlurmJob]) -> dict[str, str]:
    """Return the script that was given to sbatch by the number of the job, for jobs that are in the queue."""
    numbers = sorted({job.job_id.partition("_")[0] for job in jobs})
    if not numbers:
        return {}
    return _query("squeue", "--noheader", "--array", "--format=%i|%o", f"--jobs={','.join(numbers)}")[0]


def _name(state: str) -> str:
    """Return the name of a state: CANCELLED is followed by the number of the user."""
    return state if state == GONE else state.partition(" ")[0]


def _query(*command: str) -> tuple[dict[str, str], str]:
    """Return what a command of SLURM prints by the number of the job, and its error or an empty string."""
    options: dict[str, Any] = {"capture_output": True, "text": True, "check": False, "timeout": MAX_QUERY_SECONDS}
    try:
        done = subprocess.run(command, **options)  # noqa: S603 (a fixed command)
    except (OSError, subprocess.TimeoutExpired) as error:
        return {}, str(error)
    if done.returncode and UNKNOWN_JOB not in done.stderr:
        return {}, done.stderr.strip().rpartition("\n")[2] or f"{command[0]} ended with exit code {done.returncode}"
    lines = [line.partition("|") for line in done.stdout.split("\n")]
    return {job: value for job, found, value in lines if found}, ""
