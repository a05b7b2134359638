"""The interface of loggers that record more of a run than Lightning's loggers do."""

import logging
from abc import ABC, abstractmethod
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.loggers import Logger
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from rnnexp.core.errors import UserError, first_line
from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.core.types import Primitive
from rnnexp.tracking.metrics_file import read_rows
from rnnexp.tracking.run_directory import RunDirectory

log = logging.getLogger(__name__)


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


def replay_rows(file: Path, step: int, send: Callable[[dict[str, float], int], None] | None) -> LoggedRows:
    """Return the rows of metrics.csv that a store has; send it those before a step if it has lost them.

    Args:
        file: metrics.csv.
        step: the step from which the run continues.
        send: called with the metrics and the step of each row that the store has lost; None if it has all.
    """
    rows = [row for row in read_rows(file)[0] if row.get("step", "").isdecimal()]
    if send is not None:
        rows = [row for row in rows if int(row["step"]) < step]
        for row in rows:
            send(_numbers(row), int(row["step"]))
    return LoggedRows(rows)


def _numbers(row: Mapping[str, str]) -> dict[str, float]:
    """Return the metrics of a row of metrics.csv, without fields that are damaged."""
    numbers = {}
    for name, field in row.items():
        try:
            numbers[name] = float(field)
        except ValueError:
            log.warning("%s = %r at step %s of metrics.csv is no number: it is left out", name, field, row["step"])
    del numbers["step"]
    return numbers


class StoreLogger(RunLogger, ABC):
    """A mixin for loggers that copy the metrics of a run to a store of many runs.

    A file in the run directory names the run of the store, and a run that continues in its directory continues it
    there. What the store has is not logged again; a store that has lost the run gets the earlier rows of metrics.csv.

    Args:
        save_dir: the run directory.
        store: the name of the option of the config group `logger`.
    """

    def __init__(self, save_dir: str, store: str) -> None:
        self._directory = RunDirectory(Path(save_dir))
        self._key_file = self._directory.store_file(store)
        self._logged = LoggedRows()
        self._is_lost = False

    def read_key(self) -> str | None:
        """Return the name that the store gave an earlier part of this run; None if it has none."""
        try:
            return str(read_json(self._key_file)["run"])
        except (UserError, KeyError):
            return None

    def write_key(self, key: str) -> None:
        """Record the name that the store gives this run."""
        write_json(self._key_file, {"run": key})

    @property
    @abstractmethod
    def is_continued(self) -> bool:
        """Whether the store has an earlier part of this run."""

    @abstractmethod
    def send_metrics(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Send a row to the store."""

    @rank_zero_only
    def continue_from(self, step: int) -> None:
        """Send the rows of metrics.csv before this step, unless the store has them."""
        self._logged = replay_rows(self._directory.metrics_file, step, None if self.is_continued else self._send)

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:  # noqa: ANN401
        """Send a row, unless the store has it from an earlier process of the run."""
        if not self._logged.have(metrics, step):
            self._send(metrics, step)

    def _send(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Send a row. After an error of the store nothing more is sent: a copy of the run must not end it."""
        if self._is_lost:
            return
        try:
            self.send_metrics(metrics, step)
        except UserError:
            raise
        except Exception as error:
            self._is_lost = True
            name, reason = type(self).__name__, f"{type(error).__name__}: {first_line(error)}"
            log.warning("%s: the metrics from here on are in metrics.csv alone (%s)", name, reason)


def run_loggers(loggers: Iterable[Logger]) -> list[RunLogger]:
    """Return the loggers that are a `RunLogger`."""
    return [logger for logger in loggers if isinstance(logger, RunLogger)]
