"""The learning rate, step by step."""

from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer


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
        if (trainer.global_step + 1) % trainer.log_every_n_steps == 0:  # type: ignore[attr-defined]
            pl_module.log("train/lr", trainer.optimizers[0].param_groups[0]["lr"])
