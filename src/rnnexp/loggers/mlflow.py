"""The logger that copies a run to MLflow."""

import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import lightning.pytorch.loggers as lightning_loggers
from filelock import FileLock
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from rnnexp.core.errors import UserError, first_line, missing_extra_errors
from rnnexp.core.printable import without_secrets
from rnnexp.core.types import Primitive
from rnnexp.loggers.base import StoreLogger
from rnnexp.loggers.connection import connection_error

log = logging.getLogger(__name__)


ANSWER_SECONDS = 5.0
LIMITS = {"MLFLOW_HTTP_REQUEST_MAX_RETRIES": "2", "MLFLOW_HTTP_REQUEST_TIMEOUT": "10"}
"""Variables of MLflow, unless the user has set them: by default a server that dies would stop a run for minutes."""


class MLFlowLogger(StoreLogger, lightning_loggers.MLFlowLogger):
    """A logger with one MLflow run per job.

    The store is that of the variable MLFLOW_TRACKING_URI, else a SQLite database that all runs share.

    Args:
        save_dir: the run directory.
        store_dir: the directory of the database `mlflow.db` and of the figures, without MLFLOW_TRACKING_URI.
        experiment, name, tags: the values that MLflow shows.
    """

    def __init__(self, save_dir: str, store_dir: str, experiment: str, name: str, tags: list[str]) -> None:
        with missing_extra_errors("logger=mlflow", "mlflow"):
            import alembic  # noqa: F401
            import mlflow  # noqa: F401
            import sqlalchemy  # noqa: F401
        logging.getLogger("mlflow").setLevel(logging.WARNING)
        StoreLogger.__init__(self, save_dir, "mlflow")
        store = Path(store_dir).absolute()
        store.mkdir(parents=True, exist_ok=True)
        server = os.environ.get("MLFLOW_TRACKING_URI")
        if server is not None:
            _require_answer(server)
        address = server or f"sqlite:///{store}/mlflow.db"
        self._lock = FileLock(store / ".mlflow.lock")
        self._has_started = False
        self._earlier_id = self._find_earlier(address)
        lightning_loggers.MLFlowLogger.__init__(
            self,
            experiment_name=experiment,
            run_name=without_secrets(name),
            tracking_uri=address,
            tags={f"tag.{without_secrets(tag)}": "true" for tag in tags},
            artifact_location=None if server else (store / "mlflow").as_uri(),
            run_id=self._earlier_id,
        )

    def _find_earlier(self, address: str) -> str | None:
        """Return the id of the MLflow run of an earlier process; None if there is none."""
        from mlflow import MlflowClient
        from mlflow.exceptions import MlflowException

        if (key := self.read_key()) is None:
            return None
        try:
            with self._lock:
                MlflowClient(address).get_run(key)
        except MlflowException as error:
            log.warning("MLflow: a new run begins, because that of %s is not found (%s)", key, first_line(error))
            return None
        return key

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:  # noqa: ANN401 (mlflow.MlflowClient, or a stand-in on other ranks)
        """The client of MLflow. At the first access it starts the run, or continues that of this directory."""
        if self._has_started:
            return super().experiment
        from mlflow.exceptions import MlflowException

        self._has_started = True
        try:
            # Jobs of a sweep start at the same time, and the experiment is made once.
            with self._lock:
                client = super().experiment
            client.update_run(self.run_id, status="RUNNING")
        except MlflowException as error:
            raise UserError(f"logger.mlflow: {first_line(error)}") from None
        self.write_key(str(self.run_id))
        return client

    @property
    def is_continued(self) -> bool:
        """Whether MLflow has an earlier part of this run."""
        return self._earlier_id is not None

    def send_metrics(self, metrics: Mapping[str, float], step: int | None) -> None:
        """Send a row to MLflow."""
        lightning_loggers.MLFlowLogger.log_metrics(self, metrics, step)

    @rank_zero_only
    def log_hyperparams(self, params: Any) -> None:  # noqa: ANN401
        """Log the config. Parameters of MLflow cannot change, so a run that continues keeps those of its start."""
        if not self.is_continued:
            lightning_loggers.MLFlowLogger.log_hyperparams(self, params)

    @rank_zero_only
    def log_short_keys(self, keys: dict[str, Primitive]) -> None:
        """Log the keys as parameters, which MLflow shows as columns."""
        if not self.is_continued:
            lightning_loggers.MLFlowLogger.log_hyperparams(self, dict(keys))

    @rank_zero_only
    def log_figure(self, name: str, path: Path) -> None:
        """Log the file as an artifact."""
        self.experiment.log_artifact(self.run_id, str(path), str(Path(name).parent))

    @rank_zero_only
    def summarize(self, values: Mapping[str, Any]) -> None:
        """Log the values as a JSON artifact."""
        self.experiment.log_dict(self.run_id, dict(values), "summary.json")

    @rank_zero_only
    def finish(self, exit_code: int) -> None:
        """End the MLflow run: finished, killed by a signal, or failed."""
        if self._has_started:
            ends = {0: "FINISHED"} | ({exit_code: "KILLED"} if exit_code > 128 else {})
            self.experiment.set_terminated(self.run_id, ends.get(exit_code, "FAILED"))


def _require_answer(address: str) -> None:
    """Raise UserError if an HTTP server does not answer. Of a store of another kind nothing is known yet."""
    for name, value in LIMITS.items():
        os.environ.setdefault(name, value)
    if not address.startswith(("http://", "https://")):
        return
    if reason := connection_error(address, ANSWER_SECONDS):
        raise UserError(
            f"logger.mlflow: {urlsplit(address).hostname} of MLFLOW_TRACKING_URI cannot be reached ({reason}): start "
            "the server, or unset the variable to write into a file"
        )
