"""The progress of training: a bar on a terminal, lines in a log."""

import logging
import sys
import time
from typing import Any

from lightning.pytorch import Callback, LightningModule, Trainer

from rnnexp.callbacks.validations import VALIDATION, LastValidation, is_within_epoch
from rnnexp.compat.lightning import EpochsFromOne
from rnnexp.core.progress import Rate, format_duration, of_total

log = logging.getLogger(__name__)

TRAINING = "train/loss"
"""The metric of training that a line shows."""


def make_progress(every_n_seconds: float) -> Callback:
    """Return Lightning's rich bar if standard output is a terminal, else `ProgressLines`."""
    return Bar(leave=True) if sys.stdout.isatty() else ProgressLines(every_n_seconds)


class Bar(EpochsFromOne):
    """Lightning's bar without the W&B id, which it calls v_num."""

    def get_metrics(self, trainer: Trainer, pl_module: LightningModule) -> dict[str, Any]:
        metrics: dict[str, Any] = super().get_metrics(trainer, pl_module)
        metrics.pop("v_num", None)
        return metrics


class ProgressLines(Callback):
    """A callback that logs a line every `every_n_seconds`, and one per epoch, with rate and time left."""

    def __init__(self, every_n_seconds: float) -> None:
        self.every_n_seconds = every_n_seconds
        self._last_line = 0.0
        self._first_step = 0
        self._rate = Rate()
        self._validation = LastValidation()

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._last_line = time.monotonic()
        self._rate = Rate()
        self._first_step = trainer.global_step

    def on_train_batch_end(
        self,
        trainer: Trainer,
        pl_module: LightningModule,  # noqa: ARG002
        outputs: Any,  # noqa: ANN401
        batch: Any,  # noqa: ANN401, ARG002
        batch_idx: int,
    ) -> None:
        now = time.monotonic()
        if now - self._last_line >= self.every_n_seconds:
            self._last_line = now
            log.info(
                "%s, batch %s: loss %.4f, %s",
                _epoch(trainer),
                of_total(batch_idx + 1, trainer.num_training_batches),
                # Lightning divides it by the number of batches whose gradients are added.
                outputs["loss"] * trainer.accumulate_grad_batches,
                self._rate_and_time_left(trainer),
            )

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        self._validation.record(trainer)
        if is_within_epoch(trainer):
            metrics = _shown(trainer, (VALIDATION,))
            log.info("%s, step %d validated: %s", _epoch(trainer), trainer.global_step, metrics)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        metrics = _shown(trainer, (TRAINING, VALIDATION) if self._validation.is_of_now(trainer) else (TRAINING,))
        rate = self._rate_and_time_left(trainer)
        log.info("%s ended: %s, %s", _epoch(trainer), metrics, rate)

    def _rate_and_time_left(self, trainer: Trainer) -> str:
        self._rate.num_done = trainer.global_step - self._first_step
        left = self._rate.seconds_left(trainer.estimated_stepping_batches - self._first_step)
        shown = f"{self._rate.per_second:.1f} steps/s"
        return shown if left is None else f"{shown}, about {format_duration(left)} left"


def _epoch(trainer: Trainer) -> str:
    return f"epoch {of_total(trainer.current_epoch + 1, trainer.max_epochs)}"


def _shown(trainer: Trainer, names: tuple[str, ...]) -> str:
    """Return the metrics whose names begin so."""
    found = sorted(trainer.callback_metrics.items())
    return ", ".join(f"{name} {value:.4f}" for name, value in found if name.startswith(names))
