"""The logger that writes metrics.csv."""

import csv
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch.loggers as lightning_loggers
from lightning.fabric.loggers.csv_logs import _ExperimentWriter
from lightning.fabric.loggers.logger import rank_zero_experiment


class CSVLogger(lightning_loggers.CSVLogger):
    """`metrics.csv` in the run directory itself: a row per logged step, a column per metric.

    Args:
        save_dir: the run directory.
        flush_every_n_steps: steps between two writes, so that a report can follow a run.
    """

    def __init__(self, save_dir: str, flush_every_n_steps: int) -> None:
        super().__init__(save_dir, name=None, version="", flush_logs_every_n_steps=flush_every_n_steps)
        self._earlier: list[dict[str, Any]] = []

    def continue_from(self, step: int) -> None:
        """Keeps what stands in the file for the steps before that one, as written by the run's earlier part."""
        path = Path(self.log_dir) / _ExperimentWriter.NAME_METRICS_FILE
        if path.exists():
            with path.open(newline="") as file:
                rows = [
                    row for row in csv.DictReader(file) if row.get("step", "").isdigit() and int(row["step"]) < step
                ]
            self._earlier = [{name: value for name, value in row.items() if value} for row in rows]

    def log_hyperparams(self, params: Any = None) -> None:  # noqa: ANN401
        """config.yaml beside it is that record."""

    @property
    @rank_zero_experiment
    def experiment(self) -> _ExperimentWriter:
        # Lightning warns of every directory that holds files; this one holds the run's own.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            writer: _ExperimentWriter = super().experiment
        if self._earlier:
            writer.metrics[:0] = self._earlier
            self._earlier = []
            # At once: the file is gone by now, and with it the run's past if it were killed before its next rows.
            writer.save()
        return writer
