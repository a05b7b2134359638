"""Private names of Lightning (2.6) that rnnexp uses."""

from typing import Any

from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import EarlyStopping
from lightning.pytorch.loggers import WandbLogger
from lightning.pytorch.loops.loop import _Loop


def restore_position_in_epoch(trainer: Trainer) -> None:
    """Continue the current epoch at the batch where the loaded checkpoint was saved; call it as training starts.

    The public way is to leave it to `Trainer.fit(ckpt_path=...)`. It fails twice. A schedule that asks for
    `estimated_stepping_batches` makes Lightning set up the loader before the loader's state is loaded, so that the
    epoch starts from its first batch. And with `max_steps` Lightning takes a checkpoint of a completed epoch for one
    within the epoch, and skips the next epoch.
    """
    loop = trainer.fit_loop
    loop._load_combined_loader_states()
    if loop.restarting and loop.epoch_loop.batch_progress.is_last_batch:
        _Loop.restarting.fset(loop, False)  # type: ignore[attr-defined]
        loop.reset()


class ConditionalEarlyStopping(EarlyStopping):
    """Early stopping that checks only when `is_due` says so.

    The public way is `on_train_epoch_end` and `on_validation_end`. But which of them checks is known only within
    Lightning, and the other one comes when the metric may have no value.
    """

    def is_due(self, trainer: Trainer) -> bool:  # noqa: ARG002
        """Return whether the metric can be checked."""
        return True

    def _run_early_stopping_check(self, trainer: Trainer) -> None:
        if self.is_due(trainer):
            super()._run_early_stopping_check(trainer)


def wandb_arguments(logger: WandbLogger) -> dict[str, Any]:
    """Return the arguments that the logger passes to `wandb.init`, to be changed before its first use.

    The public way is the constructor. But it passes `anonymous` always, of which W&B warns, and it cannot take another
    `mode` after W&B has refused the first.
    """
    return logger._wandb_init


def started_wandb_run(logger: WandbLogger) -> Any:  # noqa: ANN401 (wandb.Run, or its stand-in when disabled)
    """Return the logger's W&B run; None if it has none yet.

    The public way is `logger.experiment`, which starts a run if there is none.
    """
    return logger._experiment


def forget_wandb_run(logger: WandbLogger) -> None:
    """Detach the logger from its W&B run, which has been finished.

    There is no public way: `WandbLogger.finalize` does not finish the run.
    """
    logger._experiment = None
