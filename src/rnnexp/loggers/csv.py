"""The logger that writes metrics.csv."""

import csv
import io
import logging
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch.loggers as lightning_loggers
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only
from torch import Tensor

from rnnexp.core.files.atomic import name_of_damaged, write_bytes, write_text
from rnnexp.loggers.base import LoggedRows, RunLogger
from rnnexp.tracking.metrics_file import read_rows

log = logging.getLogger(__name__)


class MetricsWriter:
    """A writer of metrics.csv. A row is appended; the file is replaced as a whole when a column is added.

    Lightning's writer deletes the file of an earlier process, and rewrites it in place when a column is added: a kill
    at that time loses every row.

    Args:
        path: the file.
        earlier: the rows of an earlier process of the run, which come first.
    """

    def __init__(self, path: Path, earlier: Sequence[Mapping[str, Any]] = ()) -> None:
        self.path = path
        self.metrics: list[Mapping[str, Any]] = []
        self._columns: list[str] = []
        if earlier:
            self._replace(earlier)

    def log_metrics(self, metrics: Mapping[str, Any], step: int) -> None:
        """Add a row, which `save` writes."""
        row = {name: value.item() if isinstance(value, Tensor) else value for name, value in metrics.items()}
        self.metrics.append(row | {"step": step})

    def save(self) -> None:
        """Write the rows that were added since the last call."""
        if not self.metrics:
            return
        if set().union(*self.metrics) <= set(self._columns):
            with self.path.open("a", encoding="utf-8", newline="") as file:
                file.write(_as_csv(self._columns, self.metrics))
        else:
            earlier = read_rows(self.path)[0] if self._columns else []
            self._replace([*earlier, *self.metrics])
        self.metrics = []

    def _replace(self, rows: Sequence[Mapping[str, Any]]) -> None:
        columns = sorted(set().union(*rows))
        header = dict(zip(columns, columns, strict=True))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_text(self.path, _as_csv(columns, [header, *rows]))
        # Not earlier: the file has its old columns if a signal or a full disk ends the write.
        self._columns = columns


def _as_csv(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    text = io.StringIO()
    csv.DictWriter(text, columns, lineterminator="\n").writerows(rows)
    return text.getvalue()


class CSVLogger(RunLogger, lightning_loggers.CSVLogger):
    """A logger that writes `metrics.csv` in the run directory: a row per logged step, a column per metric.

    Args:
        save_dir: the run directory.
        flush_every_n_steps: steps between two writes of the file.
    """

    def __init__(self, save_dir: str, flush_every_n_steps: int) -> None:
        super().__init__(save_dir, name=None, version="", flush_logs_every_n_steps=flush_every_n_steps)
        self._writer: MetricsWriter | None = None
        self._earlier: list[dict[str, str]] = []
        self._logged = LoggedRows()

    def continue_from(self, step: int) -> None:
        """Keep the rows before this step that an earlier process of the run wrote, except damaged ones."""
        path = self._path
        rows, is_damaged = read_rows(path)
        if is_damaged:
            # A copy, since the file must exist until the readable rows have replaced it.
            copy = name_of_damaged(path)
            write_bytes(copy, path.read_bytes())
            log.warning("%s: lines that cannot be read are left out, and kept in %s", path, copy.name)
        self._earlier = [row for row in rows if row.get("step", "").isdecimal() and int(row["step"]) < step]
        self._logged = LoggedRows(self._earlier)

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:  # noqa: ANN401
        """Log a row, unless an earlier process has logged it: it ended between its checkpoint and the next row."""
        if not self._logged.have(metrics, step):
            super().log_metrics(metrics, step)

    def log_hyperparams(self, params: Any = None) -> None:  # noqa: ANN401
        """Do nothing: config.yaml in the same directory has them."""

    @property
    def _path(self) -> Path:
        return Path(self.log_dir) / "metrics.csv"

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:  # noqa: ANN401 (MetricsWriter, or a stand-in on other ranks)
        """The writer of metrics.csv."""
        if self._writer is None:
            self._writer = MetricsWriter(self._path, self._earlier)
        return self._writer

    @rank_zero_only
    def finalize(self, status: str) -> None:  # noqa: ARG002
        """Write the last rows."""
        if self._writer is not None:
            self._writer.save()
