"""The interface of loggers that record more of a run than Lightning's loggers do."""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger

from rnnexp.core.types import Primitive


class RunLogger:
    """A mixin for loggers that show more of a run than its metrics; each method does nothing unless it is overridden.

    A logger of Lightning that is not a `RunLogger` gets the config and the metrics.
    """

    def continue_from(self, step: int) -> None:
        """Keep what the run logged before this step in an earlier process, and log nothing of it again.

        Called before training, with 0 if it begins.
        """

    def log_short_keys(self, keys: dict[str, Primitive]) -> None:
        """Show the keys by which runs are compared. Called once, before training."""

    def log_figure(self, name: str, path: Path) -> None:
        """Show a PNG file."""

    def log_rows(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Show a table, in place of an earlier one of the same name."""

    def summarize(self, values: Mapping[str, Any]) -> None:
        """Show values other than metrics that are known at the end of a run. Called once."""

    def finish(self, exit_code: int) -> None:
        """End the logger's record of the run. Called once, also after an error.

        Args:
            exit_code: the exit code of the program.
        """


class LoggedRows:
    """The rows that an earlier process of a run has logged.

    Args:
        rows: the rows, each with its `step`, as `rnnexp.tracking.metrics_file.read_rows` returns them.
    """

    def __init__(self, rows: Iterable[Mapping[str, str]] = ()) -> None:
        self._names: defaultdict[int | None, list[set[str]]] = defaultdict(list)
        for row in rows:
            self._names[int(row["step"])].append(set(row))

    def have(self, metrics: Mapping[str, Any], step: int | None) -> bool:
        """Return whether a row of that step has all these metrics."""
        return any(metrics.keys() <= names for names in self._names.get(step, ()))


def run_loggers(loggers: Iterable[Logger]) -> list[RunLogger]:
    """Return the loggers that are a `RunLogger`."""
    return [logger for logger in loggers if isinstance(logger, RunLogger)]
