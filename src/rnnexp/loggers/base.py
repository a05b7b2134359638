"""What the loggers of a run do beyond Lightning's."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from rnnexp.tracking.short_keys import ShortKeys


class RunLogger:
    """A mixin for loggers that show more of a run than its metrics; each method does nothing unless it is overridden.

    A logger of Lightning that is not a `RunLogger` gets the config and the metrics.
    """

    def continue_from(self, step: int) -> None:
        """Keep what an earlier part of the run has logged before that step. Called before training continues."""

    def log_short_keys(self, keys: ShortKeys) -> None:
        """Show the keys by which runs are compared. Called once, before training."""

    def log_figure(self, name: str, path: Path) -> None:
        """Show a PNG file."""

    def log_rows(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Show a table in place of the last one of that name."""

    def summarize(self, values: Mapping[str, Any]) -> None:
        """Show what is known at the end of a run beside its metrics. Called once."""

    def finish(self, exit_code: int) -> None:
        """End the logger's record of the run. Called once, however the run has ended.

        Args:
            exit_code: the one that the program will have.
        """


def run_loggers(loggers: Iterable[Logger]) -> list[RunLogger]:
    """Return the loggers that are a `RunLogger`."""
    return [logger for logger in loggers if isinstance(logger, RunLogger)]
