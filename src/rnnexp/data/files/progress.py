"""How far a download is, with its rate and the time left: a bar on a terminal, now and then a line in a log."""

import logging
import sys
import time

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

log = logging.getLogger(__name__)


class DownloadProgress:
    """Reports one download; says nothing about one that is over before `patience_seconds`.

    Args:
        what: what is being downloaded, in the words of the report.
        total: its size in bytes, if known.
        patience_seconds: how long to stay silent.
        interval_seconds: the time from line to line in a log.
    """

    def __init__(
        self, what: str, total: int | None, *, patience_seconds: float = 1.0, interval_seconds: float = 5.0
    ) -> None:
        self.what = what
        self.total = total
        self.interval_seconds = interval_seconds
        self.start = time.monotonic()
        self.next_report = self.start + patience_seconds
        self.bar: Progress | None = None

    def update(self, received: int) -> None:
        """`received` bytes have arrived so far."""
        now = time.monotonic()
        if self.bar is None and now < self.next_report:
            return
        if sys.stderr.isatty():
            self._draw(received)
        else:
            self.next_report = now + self.interval_seconds
            log.info(self._line(received, now - self.start))

    def close(self) -> None:
        """Takes the bar off the terminal."""
        if self.bar is not None:
            self.bar.stop()

    def _draw(self, received: int) -> None:
        if self.bar is None:
            columns = (
                TextColumn("{task.description}"),
                BarColumn(),
                DownloadColumn(),
                TransferSpeedColumn(),
                TimeRemainingColumn(),
            )
            self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
            self.bar.add_task(self.what, total=self.total)
            self.bar.start()
        self.bar.update(self.bar.task_ids[0], completed=received)

    def _line(self, received: int, elapsed_seconds: float) -> str:
        rate = received / elapsed_seconds
        line = f"{self.what}: {received / 1e6:.1f} MB at {rate / 1e6:.2f} MB/s"
        if self.total is None or not rate:
            return line
        return f"{line}, {received / self.total:.0%}, {(self.total - received) / rate:.0f} s left"
