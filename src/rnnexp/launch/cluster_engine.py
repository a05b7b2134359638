"""What all engines of a sweep beyond this process have in common: jobs are handed over, watched and settled."""

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

from rich.console import Console

from rnnexp.errors import UserError
from rnnexp.launch.devices import Grant
from rnnexp.launch.lifeline import GRACE_SECONDS
from rnnexp.launch.sweep_jobs import Job, settle
from rnnexp.launch.sweep_progress import SweepProgress

# Beyond the grace that a job itself has: what stands between here and there takes time as well.
SECONDS_TO_STOP = GRACE_SECONDS + 20


@dataclass
class Submitted(ABC):
    """A job that was handed over. `place` tells a person where it is."""

    job: Job
    place: Grant | str

    @abstractmethod
    def has_ended(self) -> bool:
        """Whether nothing of it runs or will run."""

    @abstractmethod
    def stop(self) -> None:
        """Asks it to save and end, or not to begin; asked more than once while it has not ended."""

    @abstractmethod
    def how_it_ended(self) -> str:
        """The reason to record if the job has left none."""


class ClusterEngine(ABC):
    """See rnnexp.launch.sweep.Engine."""

    num_gpus: int
    seconds_between_looks = 0.5

    def __init__(self) -> None:
        self.submitted: list[Submitted] = []

    @abstractmethod
    def admit(self, jobs: Sequence[Job]) -> None: ...

    @abstractmethod
    def submit(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
        """Adds to `submitted` those of the jobs that can be handed over now; called again for those that remain."""

    def rehearse(self, jobs: Sequence[Job]) -> None:
        """Lists the jobs. None is tried: they will run on other machines than this."""
        console = Console(soft_wrap=True, highlight=False)
        for job in jobs:
            need = f"{job.need.gpus} gpu" if job.need.gpus else f"{job.need.cores} core"
            is_left = not job.is_final and not job.is_under_way
            state = ("to be continued" if job.resumes else "to run") if is_left else job.status
            console.print(f"{state:<15} {job.label} on {need}", markup=False)
        console.print(f"{len(jobs)} jobs; how long they take is not tried here, where they will not run")

    def run(self, jobs: Sequence[Job], progress: SweepProgress) -> None:
        """Hands over the longest first, and watches all until they have ended."""
        waiting = sorted(jobs, key=lambda job: job.cost, reverse=True)
        try:
            while waiting or self.submitted:
                if waiting:
                    self.submit(waiting, progress)
                    handed_over = {id(entry.job) for entry in self.submitted}
                    waiting = [job for job in waiting if id(job) not in handed_over]
                self._look(progress)
                progress.tick()
                time.sleep(self.seconds_between_looks)
        except BaseException:
            self._stop_all(progress)
            raise

    def _look(self, progress: SweepProgress, verdict: str = "failed", why: str = "") -> None:
        for entry in list(self.submitted):
            has_ended = entry.has_ended()
            if id(entry.job) not in progress.running and (has_ended or _has_begun(entry.job)):
                entry.job.status = "running"
                progress.started(entry.job, entry.place)
            if has_ended:
                self._settle(entry, progress, verdict, why)

    def _settle(self, entry: Submitted, progress: SweepProgress, verdict: str, why: str) -> None:
        self.submitted.remove(entry)
        progress.ended(entry.job, settle(entry.job, why or entry.how_it_ended(), verdict))

    def _stop_all(self, progress: SweepProgress) -> None:
        if self.submitted:
            progress.say(f"stopping {len(self.submitted)} jobs; those that have begun save where they are")
        deadline = time.monotonic() + SECONDS_TO_STOP
        while self.submitted and time.monotonic() < deadline:
            for entry in self.submitted:
                entry.stop()
            time.sleep(self.seconds_between_looks)
            self._look(progress, "interrupted", "cancelled with the sweep")
        for entry in list(self.submitted):
            progress.running.setdefault(id(entry.job), (entry.job, entry.place, time.monotonic()))
            self._settle(entry, progress, "interrupted", "cancelled with the sweep; it did not say that it ended")


def _has_begun(job: Job) -> bool:
    try:
        return job.run.status != "queued"
    except (OSError, UserError):
        return False
