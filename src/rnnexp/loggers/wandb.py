"""The logger that mirrors a run to W&B."""

import logging
import shlex
from pathlib import Path
from typing import Any

import lightning.pytorch.loggers as lightning_loggers
from lightning.fabric.loggers.logger import rank_zero_experiment
from lightning.pytorch.utilities.rank_zero import rank_zero_only

from rnnexp.core.errors import UserError
from rnnexp.tracking.short_keys import ShortKeys

log = logging.getLogger(__name__)


class WandbLogger(lightning_loggers.WandbLogger):
    """One W&B run per job, offline by itself where W&B cannot be reached.

    Args:
        save_dir: the run directory.
        project, group, name, tags: as W&B shows them.
        mode: auto, online, offline or disabled.
        timeout_seconds: how long W&B may take to answer before the run goes offline.
        log_model: upload checkpoints; only what is online can.
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

        granted, reason = choose_mode(mode, timeout_seconds)
        if reason:
            log.info("W&B: %s, because %s", granted, reason)
        self.mode = granted
        super().__init__(
            name=name,
            save_dir=save_dir,
            project=project,
            log_model=log_model and granted == "online",
            group=group,
            tags=list(tags),
            mode=granted,
            resume=None,
            settings=wandb.Settings(console="off", silent=True, init_timeout=max(1.0, timeout_seconds)),
        )
        # Lightning always passes it on, and W&B warns of it.
        self._wandb_init.pop("anonymous", None)

    @property
    @rank_zero_experiment
    def experiment(self) -> Any:  # noqa: ANN401 (wandb.Run, or its stand-in when disabled)
        import wandb

        try:
            return super().experiment
        except wandb.errors.Error as error:
            if self.mode != "online":
                raise UserError(f"logger.wandb: {str(error).splitlines()[0]}") from None
            log.warning("W&B: offline, because it refused this run (%s)", str(error).splitlines()[0])
            self.mode = self._wandb_init["mode"] = "offline"
            return super().experiment
        except ValueError as error:
            # W&B checks its settings, tags among them, with a library of its own.
            raise UserError(f"logger.wandb: {' '.join(str(error).split())}") from None

    @rank_zero_only
    def log_short_keys(self, keys: ShortKeys) -> None:
        """Puts the keys by which runs are compared at the top of the config, where tables and charts find them."""
        self.experiment.config.update(keys, allow_val_change=True)

    @rank_zero_only
    def summarise(self, values: dict[str, Any]) -> None:
        """Puts what is known at the end beside the last value of every metric."""
        self.experiment.summary.update(values)

    def finish(self, exit_code: int) -> None:
        """Ends the W&B run with what became of it, and says how to upload it if it is not online."""
        if self._experiment is None or self.mode == "disabled":
            return
        directory = Path(self._experiment.settings.sync_dir)
        self._experiment.finish(exit_code=exit_code)
        self._experiment = None
        if self.mode == "offline":
            log.info("W&B: upload this run with  %s", shlex.join(["wandb", "sync", str(directory)]))
