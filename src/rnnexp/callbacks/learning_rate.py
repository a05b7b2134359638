"""The learning rate, step by step."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from rnnexp.callbacks.logged_steps import is_logged_step


class LearningRate(Callback):
    """Logs `train/lr`, the rate of the optimiser's first group, at the steps that are logged.

    Lightning's LearningRateMonitor refuses to run without a logger and names its column after the optimiser's class.
    """

    def on_train_batch_start(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        if is_logged_step(trainer):
            pl_module.log("train/lr", trainer.optimizers[0].param_groups[0]["lr"])
