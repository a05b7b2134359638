"""The callback that ends a run whose loss is NaN or infinite."""

from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import Tensor

from rnnexp.core.errors import DivergedError


class StopOnDivergence(Callback):
    """A callback that ends training when the loss is NaN or infinite.

    Every loss is checked on the device. The result is read only every few steps, since reading makes the CPU wait for
    the device.

    Args:
        every_n_steps: steps between two reads; the end of an epoch always reads.

    Raises:
        DivergedError: from `Trainer.fit`, with the step, the learning rate and the parameters that are not finite.
    """

    def __init__(self, every_n_steps: int) -> None:
        self.every_n_steps = every_n_steps
        self._worst: Tensor | None = None

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,  # noqa: ARG002
    ) -> None:
        loss = outputs["loss"].detach()
        # A finite loss times zero is 0; NaN and infinity become NaN.
        self._worst = loss * 0 if self._worst is None else self._worst + loss * 0
        if trainer.global_step % self.every_n_steps == 0:
            self._stop_if_bad(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        self._stop_if_bad(trainer, pl_module)

    def _stop_if_bad(self, trainer: Trainer, module: LightningModule) -> None:
        is_bad = self._worst is not None and bool(torch.isnan(self._worst))
        # Each process has the loss of its own batches. All end with the same error.
        if not trainer.strategy.reduce_boolean_decision(is_bad, all=False):
            return
        bad = [name for name, value in module.named_parameters() if not torch.isfinite(value).all()]
        rate = trainer.optimizers[0].param_groups[0]["lr"]
        parameters = f"{len(bad)} parameters are not finite, first {bad[0]}" if bad else "all parameters are finite"
        raise DivergedError(
            f"the loss became NaN or infinite within the {self.every_n_steps} steps before step {trainer.global_step} "
            f"(epoch {trainer.current_epoch + 1}, learning rate {rate:.3g}; {parameters}): try a lower optimizer.lr=, "
            "a smaller trainer.gradient_clip_val= or trainer.precision=32-true"
        )
