"""The logger that writes metrics.csv."""

import csv
import warnings
from pathlib import Path
from typing import Any

import lightning.pytorch.loggers as lightning_loggers
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.loggers.csv_logs import ExperimentWriter
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from rnnexp.loggers.base import RunLogger


class CSVLogger(RunLogger, lightning_loggers.CSVLogger):
    """A logger that writes `metrics.csv` in the run directory: a row per logged step, a column per metric.

    Args:
        save_dir: the run directory.
        flush_every_n_steps: steps between two writes of the file.
    """

    def __init__(self, save_dir: str, flush_every_n_steps: int) -> None:
        super().__init__(save_dir, name=None, version="", flush_logs_every_n_steps=flush_every_n_steps)
        self._earlier: list[dict[str, Any]] = []
        self._latest: list[dict[str, Any]] = []
        """The rows of the last step before those that this process logs."""

    def continue_from(self, step: int) -> None:
        """Keep the rows before this step that an earlier process of the run wrote."""
        path = Path(self.log_dir) / ExperimentWriter.NAME_METRICS_FILE
        if path.exists():
            with path.open(newline="", encoding="utf-8") as file:
                rows = [
                    row for row in csv.DictReader(file) if row.get("step", "").isdigit() and int(row["step"]) < step
                ]
            self._earlier = [{name: value for name, value in row.items() if value} for row in rows]
            self._latest = [row for row in self._earlier if int(row["step"]) == step - 1]

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:  # noqa: ANN401
        """Log a row, unless an earlier process has logged it: it ended between its checkpoint and the next row."""
        if not any(step == int(row["step"]) and metrics.keys() <= row.keys() for row in self._latest):
            super().log_metrics(metrics, step)

    def log_hyperparams(self, params: Any = None) -> None:  # noqa: ANN401
        """Do nothing: config.yaml in the same directory has them."""

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:  # noqa: ANN401 (ExperimentWriter, or a stand-in on other ranks)
        """The writer of metrics.csv."""
        # Lightning warns if the directory has files; these are the files of the run.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            writer = super().experiment
        if self._earlier:
            writer.metrics[:0] = self._earlier
            self._earlier = []
            # Save now: Lightning has deleted the file, and a kill before the next save would lose the earlier rows.
            writer.save()
        return writer
