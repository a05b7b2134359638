"""What a person sees of a sweep while it runs: a live table on a terminal, plain lines in a log."""

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

from rnnexp.sweeps.devices import Allocation
from rnnexp.sweeps.jobs import Job
from rnnexp.tracking.metrics_file import newest_metric

SECONDS_BETWEEN_TABLES, SECONDS_BETWEEN_LINES = 2.0, 30.0
LAST_LINES = 6


class SweepProgress(AbstractContextManager["SweepProgress"]):
    """Told of every change; shows the rest by itself.

    Args:
        jobs: of this sweep, those included that need not run.
    """

    def __init__(self, jobs: Sequence[Job]) -> None:
        self.jobs = jobs
        self.console = Console()
        self.running: dict[int, tuple[Job, Allocation | str, float]] = {}
        self._start = time.monotonic()
        self._shown = self._start
        self._cost_done = 0.0
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
        self.console.print(line, markup=False, highlight=False, soft_wrap=True)

    def started(self, job: Job, place: Allocation | str) -> None:
        self.running[id(job)] = job, place, time.monotonic()
        self.say(f"start  {job.label} on {place}{', continued' if job.resumes else ''}")

    def ended(self, job: Job, reason: str) -> None:
        """A failure is told at once, with the last that the job said."""
        _, _, since = self.running.pop(id(job))
        self._cost_done += job.cost * (job.status == "done")
        metric = newest_metric(job.run.metrics_file)
        shown = f", {metric[0]} {metric[1]:.4g}" if metric else ""
        self.say(
            f"{job.status:<6} {job.label} after {clock(time.monotonic() - since)}{shown}" + f": {reason}" * bool(reason)
        )
        if job.status == "failed":
            for line in last_lines(job.run.output_file):
                self.say(f"         | {line}")

    def tick(self) -> None:
        """To be called often; shows what is new every few seconds."""
        if time.monotonic() - self._shown < (SECONDS_BETWEEN_TABLES if self._live else SECONDS_BETWEEN_LINES):
            return
        self._shown = time.monotonic()
        if self._live:
            self._live.update(self._table())
        else:
            self.say(self.summary())

    def summary(self) -> str:
        counts = Counter(job.status for job in self.jobs)
        told = ", ".join(f"{number} {status}" for status, number in counts.items())
        return f"{told}; {clock(time.monotonic() - self._start)} so far{self._eta()}"

    def _eta(self) -> str:
        if not self._cost_done:
            return ""
        now = time.monotonic()
        rate = self._cost_done / (now - self._start)
        # A job under way has done no more than its share of what all have: its own cost bounds what is left of it.
        under_way = sum(
            max(0.0, job.cost - rate * (now - since) / max(1, len(self.running)))
            for job, _, since in self.running.values()
        )
        left = under_way + sum(job.cost for job in self.jobs if job.status in ("waiting", "queued"))
        return f", about {clock(left / rate)} left"

    def _table(self) -> Group:
        table = Table(box=None, pad_edge=False)
        for column in ("running", "on", "for", "newest"):
            table.add_column(column)
        for job, place, since in self.running.values():
            metric = newest_metric(job.run.metrics_file)
            newest = f"{metric[0]} {metric[1]:.4g}" if metric else ""
            table.add_row(Text(job.label), str(place), clock(time.monotonic() - since), newest)
        return Group(table, Text(self.summary()))


def clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def last_lines(path: Path, count: int = LAST_LINES) -> list[str]:
    try:
        return path.read_text(errors="replace").splitlines()[-count:]
    except OSError:
        return []
