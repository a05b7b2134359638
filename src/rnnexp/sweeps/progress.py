"""The progress of a sweep: a live table on a terminal, plain lines in a log."""

import os
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from rnnexp.core.printable import shown
from rnnexp.core.progress import format_duration
from rnnexp.sweeps.devices import Allocation
from rnnexp.sweeps.jobs import Job
from rnnexp.tracking.metrics_file import newest_metric
from rnnexp.tracking.status import Status
from rnnexp.tracking.summary import plain

TABLE_SECONDS, LINE_SECONDS = 2.0, 30.0
"""The intervals between two tables and between two lines."""
NUM_LAST_LINES = 6
MAX_BYTES = 4096
"""The size of the end of a job's output that is shown after a failure; the whole output may be of any size."""


class SweepProgress(AbstractContextManager["SweepProgress"]):
    """A context manager that prints the progress of the jobs of a sweep.

    The backend calls `started`, `ended` and `tick`.

    Args:
        jobs: all jobs of the sweep, including those that need not run.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.console = Console()
        self.running: dict[Job, tuple[Allocation | str, float]] = {}
        self._start = time.monotonic()
        self._shown_at = self._start
        self._cost_done = self._seconds_done = 0.0
        self._most_running = 1
        self._live = (
            Live(console=self.console, refresh_per_second=2, transient=True) if self.console.is_terminal else None
        )

    def __enter__(self) -> "SweepProgress":
        if self._live:
            self._live.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def say(self, line: str) -> None:
        """Print one line."""
        self.console.print(shown(line), markup=False, highlight=False, soft_wrap=True)

    def started(self, job: Job, place: Allocation | str) -> None:
        """Print that a job has started."""
        self.running[job] = place, time.monotonic()
        self._most_running = max(self._most_running, len(self.running))
        attempts = f", retry {job.num_retries}" if job.num_retries else ""
        self.say(f"start  {job.label} on {place}{', continued' if job.resumes else ''}{attempts}")

    def ended(self, job: Job, reason: str) -> None:
        """Print how a job ended, and the last lines of its output if it failed."""
        _, since = self.running.pop(job)
        # The time of one that has ended otherwise says nothing of the time of the others.
        self._cost_done += job.cost * (job.status is Status.DONE)
        self._seconds_done += (time.monotonic() - since) * (job.status is Status.DONE)
        newest = shown_metric(job)
        line = f"{job.status:<6} {job.label} after {format_duration(time.monotonic() - since)}"
        self.say(line + f", {newest}" * bool(newest) + f": {reason}" * bool(reason))
        if job.status is Status.FAILED:
            for line in last_lines(job.run.output_file):
                self.say(f"         | {line}")

    def tick(self) -> None:
        """Show the current state, at most once per interval. It may be called often."""
        if time.monotonic() - self._shown_at < (TABLE_SECONDS if self._live else LINE_SECONDS):
            return
        self._shown_at = time.monotonic()
        if self._live:
            self._live.update(self._table())
        else:
            self.say(self.summary())

    def summary(self) -> str:
        """Return one line with the number of jobs of each status, the time so far and the time left."""
        counts = Counter(job.status for job in self.jobs)
        counted = ", ".join(f"{number} {status}" for status, number in counts.items())
        return f"{counted}; {format_duration(time.monotonic() - self._start)} so far{self._eta()}"

    def _eta(self) -> str:
        if not self._cost_done:
            return ""
        now = time.monotonic()
        # The cost per second of a job that runs. What is left of its cost is between 0 and the whole.
        rate = self._cost_done / max(self._seconds_done, 1e-3)
        running = [max(0.0, job.cost - rate * (now - since)) for job, (_, since) in self.running.items()]
        waiting = [job.cost for job in self.jobs if job.status in (Status.WAITING, Status.QUEUED)]
        at_once = max(1, min(self._most_running, len(running) + len(waiting)))
        left = (sum(running) + sum(waiting)) / rate / at_once
        return f", about {format_duration(left)} left"

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for column in ("running", "on", "for", "newest"):
            table.add_column(column)
        for job, (place, since) in self.running.items():
            duration = format_duration(time.monotonic() - since)
            table.add_row(plain(job.label), str(place), duration, shown_metric(job))
        return Group(table, Text(self.summary()))


def shown_metric(job: Job) -> str:
    """Return the latest value of the monitored metric, or of the loss; empty before the first one."""
    metric = newest_metric(job.run.metrics_file, (str(job.config.get("monitor")), "val/loss"))
    return f"{metric[0]} {metric[1]:.4g}" if metric else ""


def last_lines(path: Path) -> list[str]:
    """Return the last lines within the last `MAX_BYTES` of a text file; none if it cannot be read."""
    if not path.is_file():
        return []
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - MAX_BYTES))
            return file.read().decode(errors="replace").rstrip("\n").split("\n")[-NUM_LAST_LINES:]
    except OSError:
        return []
