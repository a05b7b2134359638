"""Progress of long work with its rate and the time left: a bar on a terminal, a line every few seconds in a log."""

import logging
import math
import sys
import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, TextColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from rnnexp.core.printable import shown

log = logging.getLogger(__name__)


def format_duration(seconds: float) -> str:
    """Return seconds as `m:ss` or `h:mm:ss`."""
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}" if hours else f"{minutes}:{seconds:02}"


def of_total(number: int, total: float | None) -> str:
    """Return `3/10`; `3` if there is no total, for which Lightning has None, -1 and infinity."""
    return f"{number}/{total}" if total is not None and 0 <= total < math.inf else str(number)


class Rate:
    """A counter of work, with its rate since the object was made."""

    def __init__(self) -> None:
        self.num_done = 0
        self._start = time.monotonic()

    def count(self, number: int) -> None:
        """Add to the work that is done."""
        self.num_done += number

    @property
    def elapsed_seconds(self) -> float:
        """Seconds since the object was made."""
        return max(time.monotonic() - self._start, 1e-9)

    @property
    def per_second(self) -> float:
        """Work per second."""
        return self.num_done / self.elapsed_seconds

    def seconds_left(self, total: float) -> float | None:
        """Seconds until `total` is done at this rate; None before anything is done."""
        return (total - self.num_done) / self.per_second if self.num_done else None


class Progress:
    """A report of the progress of work: a transient bar if standard error is a terminal, else lines.

    It is a context manager; call `advance` with the amount that was just done.

    Args:
        what: the name of the work in the report: `downloading train.en.gz`.
        total: the amount of work; None if it is unknown.
        unit: the unit of the amount: `sentences`; `B` counts bytes and shows megabytes.
        patience_seconds: the time before the first report; work that ends earlier is not reported.
        interval_seconds: the time between two lines.
        write_line: the function that writes a line; the log by default.
    """

    def __init__(
        self,
        what: str,
        total: int | None,
        unit: str,
        *,
        patience_seconds: float = 1.0,
        interval_seconds: float = 10.0,
        write_line: Callable[[str], object] = log.info,
    ) -> None:
        self.what, self.total, self.unit = shown(what), total, unit
        self.interval_seconds = interval_seconds
        self.rate = Rate()
        self._write_line = write_line
        self._next_report = time.monotonic() + patience_seconds
        self._bar: RichProgress | None = None

    def __enter__(self) -> "Progress":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._bar is not None:
            self._bar.stop()

    def advance(self, number: int) -> None:
        """Count `number` more as done, and report if the interval is over."""
        self.rate.count(number)
        now = time.monotonic()
        if self._bar is None and now < self._next_report:
            return
        if sys.stderr.isatty():
            self._draw()
        else:
            self._next_report = now + self.interval_seconds
            self._write_line(self.line)

    @property
    def line(self) -> str:
        """The report as one line."""
        counted, rate = self._amount(self.rate.num_done), self._amount(self.rate.per_second)
        if self.total is None:
            return f"{self.what}: {counted}, {rate}/s"
        done = (
            f"{counted.partition(' ')[0]} of {self._amount(self.total)} ({self.rate.num_done / max(self.total, 1):.0%})"
        )
        left = self.rate.seconds_left(self.total)
        return f"{self.what}: {done}, {rate}/s" + ("" if left is None else f", about {format_duration(left)} left")

    def _amount(self, number: float) -> str:
        if self.unit == "B":
            return f"{number / 1e6:.1f} MB"
        return f"{number:,.0f} {self.unit}" if number >= 10 or number == int(number) else f"{number:.1f} {self.unit}"

    def _draw(self) -> None:
        if self._bar is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                TextColumn("{task.fields[amount]}"),
                TimeRemainingColumn(),
            )
            self._bar = RichProgress(
                *columns,
                console=Console(stderr=True),
                transient=True,
                # Rich would send standard output to standard error, above its bar.
                redirect_stdout=False,
                redirect_stderr=False,
            )
            self._bar.add_task(escape(self.what), total=self.total, amount="")
            self._bar.start()
        amount = f"{self._amount(self.rate.num_done)}, {self._amount(self.rate.per_second)}/s"
        self._bar.update(self._bar.task_ids[0], completed=self.rate.num_done, amount=amount)
