"""How fast training runs."""

import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from rnnexp.batches import TranslationBatch
from rnnexp.tracking.stopwatch import seconds_since_process_start


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
