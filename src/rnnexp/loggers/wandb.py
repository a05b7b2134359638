"""The logger that mirrors a run to W&B."""

import logging
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import lightning.pytorch.loggers as lightning_loggers
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from rnnexp.compat.lightning import forget_wandb_run, started_wandb_run, wandb_arguments
from rnnexp.compat.wandb import without_launch
from rnnexp.core.errors import UserError, first_line
from rnnexp.core.printable import without_secrets
from rnnexp.core.types import Primitive
from rnnexp.loggers.base import LoggedRows, RunLogger, replay_rows
from rnnexp.tracking.run_directory import RunDirectory

log = logging.getLogger(__name__)


class WandbLogger(RunLogger, lightning_loggers.WandbLogger):
    """A logger with one W&B run per job, which goes offline if W&B cannot be reached.

    A run that continues in its directory keeps its W&B run. Online it is resumed, and what it has shown is not logged
    again. Offline runs cannot be resumed: the new part has the same id and begins with the earlier rows of metrics.csv,
    so that it is complete when it is uploaded after the first, which it replaces.

    Args:
        save_dir: the run directory.
        project, group, name, tags: the values that W&B shows.
        mode: auto, online, offline or disabled.
        timeout_seconds: how long W&B may take to answer before the run goes offline.
        log_model: upload checkpoints; an offline run uploads none.
    """

    def __init__(
        self,
        save_dir: str,
        project: str,
        group: str | None,
        name: str,
        tags: list[str],
        mode: str,
        timeout_seconds: float,
        log_model: bool,
    ) -> None:
        import wandb

        from rnnexp.loggers.wandb_connection import choose_mode

        chosen, reason = choose_mode(mode, timeout_seconds)
        if reason:
            log.info("W&B: %s, because %s", chosen, reason)
        self.mode = chosen
        self._directory = RunDirectory(Path(save_dir))
        self._earlier_id = _latest_run_id(self._directory.path)
        self._logged = LoggedRows()
        super().__init__(
            name=without_secrets(name),
            save_dir=save_dir,
            project=project,
            log_model=log_model and chosen == "online",
            group=None if group is None else without_secrets(group),
            tags=[without_secrets(tag) for tag in tags],
            mode=chosen,
            id=self._earlier_id,
            resume="allow" if self._earlier_id and chosen == "online" else None,
            settings=wandb.Settings(console="off", silent=True, init_timeout=max(1.0, timeout_seconds)),
        )
        wandb_arguments(self).pop("anonymous", None)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:  # noqa: ANN401 (wandb.Run, or its stand-in when disabled)
        """The W&B run, which starts at the first access; offline if W&B refuses it online."""
        import wandb

        try:
            with without_launch():
                return super().experiment
        except wandb.errors.Error as error:
            if self.mode != "online":
                raise UserError(f"logger.wandb: {first_line(error)}") from None
            log.warning("W&B: offline, because it refused this run (%s)", first_line(error))
            self.mode = wandb_arguments(self)["mode"] = "offline"
            wandb_arguments(self)["resume"] = None
            return self.experiment
        except ValueError as error:
            # W&B validates its settings, including tags, with pydantic, whose errors are ValueErrors.
            raise UserError(f"logger.wandb: {' '.join(str(error).split())}") from None

    def continue_from(self, step: int) -> None:
        """Log the rows of metrics.csv before this step again, unless W&B has them."""
        if self._earlier_id is None or self.mode == "disabled":
            return
        send = None if self.experiment.resumed else super().log_metrics
        self._logged = replay_rows(self._directory.metrics_file, step, send)

    @rank_zero_only
    def log_metrics(self, metrics: Any, step: int | None = None) -> None:  # noqa: ANN401
        """Log a row, unless W&B has it from an earlier process of the run."""
        if not self._logged.have(metrics, step):
            super().log_metrics(metrics, step)

    @rank_zero_only
    def log_short_keys(self, keys: dict[str, Primitive]) -> None:
        """Put the keys at the top of W&B's config, where its tables and charts look for them."""
        self.experiment.config.update(keys, allow_val_change=True)

    def log_figure(self, name: str, path: Path) -> None:
        """Log the file as an image."""
        self.log_image(name, [str(path)])

    def log_rows(self, name: str, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
        """Log a W&B table."""
        self.log_table(name, columns=list(columns), data=[list(row) for row in rows])

    @rank_zero_only
    def summarize(self, values: Mapping[str, Any]) -> None:
        """Put the values into W&B's summary, beside the last value of every metric."""
        self.experiment.summary.update(values)

    def finish(self, exit_code: int) -> None:
        """End the W&B run, and log how to upload it if it is offline."""
        run = started_wandb_run(self)
        if run is None:
            return
        directory = Path(run.settings.sync_dir)
        run.finish(exit_code=exit_code)
        forget_wandb_run(self)
        if self.mode == "offline":
            log.info("W&B: upload this run with  %s", shlex.join(["wandb", "sync", str(directory)]))


def _latest_run_id(run: Path) -> str | None:
    """Return the id of the latest W&B run of an earlier process; W&B ends the names of its directories with it."""
    names = sorted(path.name.removeprefix("offline-") for path in run.glob("wandb/*run-*-*") if path.is_dir())
    # run-<time>-<id>, and an id that somebody has chosen may have hyphens.
    return names[-1].split("-", 2)[2] if names else None
