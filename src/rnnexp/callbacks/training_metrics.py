"""Metrics of training itself: the learning rate, the norm of the gradient and the throughput."""

import time
from typing import Any

import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from torch.optim import Optimizer

from rnnexp.data.batches import TranslationBatch
from rnnexp.tracking.stopwatch import seconds_since_process_start


# Lightning takes a value at any step and drops it at all others, which costs 0.3 ms of a CPU each.
def is_logged_step(trainer: Trainer) -> bool:
    """Whether loggers get what is logged in the step under way, before its optimiser has stepped."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return (trainer.global_step + 1) % every == 0


def is_last_step(trainer: Trainer) -> bool:
    """Whether the step under way ends an epoch or training, whose last values stay to be seen."""
    return bool(trainer.is_last_batch) or trainer.global_step + 1 == trainer.max_steps


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


class GradientNorm(Callback):
    """Logs `train/grad_norm`, the Euclidean norm of the whole gradient before clipping, at logged steps."""

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Optimizer) -> None:  # noqa: ARG002
        if is_logged_step(trainer):
            gradients = [parameter.grad for parameter in pl_module.parameters() if parameter.grad is not None]
            pl_module.log("train/grad_norm", torch.nn.utils.get_total_norm(gradients))


class Throughput(Callback):
    """Logs `train/samples_per_second`, and of sentence pairs `train/tokens_per_second`, those of the target.

    Counted is training alone, without validation, checkpoints and the first step.

    The first step of a run builds what later steps use again, so its end is kept apart: `first_step_seconds` since the
    process began. Time is read at the end of an epoch, when its metrics have waited for the device.
    """

    def __init__(self) -> None:
        self.first_step_seconds: float | None = None
        self.samples_per_second: float | None = None
        self.tokens_per_second: float | None = None
        self._seconds = 0.0
        self._samples = self._tokens = 0
        self._epoch_samples = self._epoch_tokens = 0
        self._epoch_start = 0.0
        self._validation_start = 0.0

    def on_train_epoch_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._epoch_samples = self._epoch_tokens = 0
        self._epoch_start = time.perf_counter()

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401
        batch_idx: int,
    ) -> None:
        if self.first_step_seconds is None:
            outputs["loss"].item()
            self.first_step_seconds = seconds_since_process_start()
            self._epoch_start = time.perf_counter()
            return
        self._epoch_samples += len(batch[0]) * trainer.world_size
        if isinstance(batch, TranslationBatch):
            # BOS is given, not predicted. Lengths lie on the CPU, so that nothing waits for the device here.
            self._epoch_tokens += int((batch.target_lengths - 1).sum()) * trainer.world_size
        if batch_idx + 1 == trainer.num_training_batches:
            outputs["loss"].item()
            self._end_epoch(time.perf_counter() - self._epoch_start)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._validation_start = time.perf_counter()

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        # As if the epoch had begun so much later: validation may come in its middle.
        self._epoch_start += time.perf_counter() - self._validation_start

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        if self.samples_per_second is not None:
            pl_module.log("train/samples_per_second", self.samples_per_second, sync_dist=True)
        if self.tokens_per_second is not None:
            pl_module.log("train/tokens_per_second", self.tokens_per_second, sync_dist=True)

    def _end_epoch(self, seconds: float) -> None:
        self._seconds += seconds
        self._samples += self._epoch_samples
        self._tokens += self._epoch_tokens
        self.samples_per_second = self._samples / self._seconds
        if self._tokens:
            self.tokens_per_second = self._tokens / self._seconds
