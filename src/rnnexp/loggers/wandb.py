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
from rnnexp.core.types import Primitive
from rnnexp.loggers.base import RunLogger

log = logging.getLogger(__name__)


class WandbLogger(RunLogger, lightning_loggers.WandbLogger):
    """A logger with one W&B run per job, which goes offline if W&B cannot be reached.

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
        super().__init__(
            name=name,
            save_dir=save_dir,
            project=project,
            log_model=log_model and chosen == "online",
            group=group,
            tags=list(tags),
            mode=chosen,
            resume=None,
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
            return self.experiment
        except ValueError as error:
            # W&B validates its settings, including tags, with pydantic, whose errors are ValueErrors.
            raise UserError(f"logger.wandb: {' '.join(str(error).split())}") from None

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
        if run is None or self.mode == "disabled":
            return
        directory = Path(run.settings.sync_dir)
        run.finish(exit_code=exit_code)
        forget_wandb_run(self)
        if self.mode == "offline":
            log.info("W&B: upload this run with  %s", shlex.join(["wandb", "sync", str(directory)]))
