"""How far a translation is: on standard error alone, as standard output is for what is translated."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

EVERY_SECONDS = 10.0

Advance = Callable[[int], None]


@contextmanager
def progress(total: int | None) -> Iterator[Advance]:
    """A bar if standard error is a terminal, else a line every ten seconds.

    Args:
        total: sentences; None if it is not known.

    Yields:
        to be called with the number of sentences that were just translated.
    """
    rate = Rate()
    if not sys.stderr.isatty():
        yield Lines(rate, total).advance
        return
    columns = (
        TextColumn("translating"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        # Rich would take what is written to standard output, and print it on standard error above its bar.
        redirect_stdout=False,
        redirect_stderr=False,
    ) as bar:
        row = bar.add_task("translating", total=total, rate="")

        def advance(number: int) -> None:
            rate.count(number)
            bar.update(row, advance=number, rate=str(rate))

        yield advance


class Rate:
    """Sentences per second since it was made."""

    def __init__(self) -> None:
        self.num_done, self._start = 0, time.monotonic()

    def count(self, number: int) -> None:
        """So many more are done."""
        self.num_done += number

    @property
    def per_second(self) -> float:
        """As a number."""
        return self.num_done / max(time.monotonic() - self._start, 1e-9)

    def __str__(self) -> str:
        """As people read it."""
        return f"{self.per_second:,.0f}/s" if self.per_second >= 10 else f"{self.per_second:.1f}/s"


class Lines:
    """A line every so often, with the rate and, where the end is known, the time that is left."""

    def __init__(self, rate: Rate, total: int | None) -> None:
        self.rate, self.total = rate, total
        self._last_line = time.monotonic()

    def advance(self, number: int) -> None:
        """So many more are done; says so if it is time."""
        self.rate.count(number)
        now = time.monotonic()
        if now - self._last_line < EVERY_SECONDS:
            return
        self._last_line = now
        done = self.rate.num_done
        if self.total is None:
            line = f"translated {done:,} sentences, {self.rate}"
        else:
            left = int((self.total - done) / self.rate.per_second)
            line = f"translated {done:,} of {self.total:,} sentences, {self.rate}, "
            line += f"about {left // 60}:{left % 60:02d} left"
        print(line, file=sys.stderr, flush=True)
