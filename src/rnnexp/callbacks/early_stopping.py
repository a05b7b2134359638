"""The callback that ends training early."""

import logging
import math
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks.early_stopping import EarlyStoppingReason

from rnnexp.callbacks.ties import loss_of, rank
from rnnexp.callbacks.validations import is_measured
from rnnexp.compat.lightning import ConditionalEarlyStopping

log = logging.getLogger(__name__)


class EarlyStopping(ConditionalEarlyStopping):
    """A callback that stops after `patience` validations without a better value of the monitored metric, and logs why.

    An equal value with a lower validation loss is better.

    Args:
        monitor: name of the metric, `val/acc`.
        mode: `max` or `min`.
        patience: validations without a better value.
    """

    def __init__(self, monitor: str, mode: str, patience: int) -> None:
        super().__init__(monitor=monitor, mode=mode, patience=patience)
        self._best_loss = math.inf

    def is_due(self, trainer: Trainer) -> bool:
        if not is_measured(trainer, self.monitor):
            return False
        value, best = float(trainer.callback_metrics[self.monitor]), float(self.best_score)
        loss = loss_of(trainer)
        if rank(value, loss, self.mode) > rank(best, self._best_loss, self.mode):
            self._best_loss = loss
            if value == best:
                self.wait_count = -1  # the check that follows finds no better value and adds one
        return True

    def state_dict(self) -> dict[str, Any]:
        return super().state_dict() | {"best_loss": self._best_loss}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take over the count of validations and the best value. The patience is that of this run."""
        super().load_state_dict(state_dict | {"patience": self.patience})
        self._best_loss = state_dict["best_loss"]

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        # The earlier process was interrupted after the validation that stops the run.
        reason = self.stopping_reason
        has_lost_patience = reason is EarlyStoppingReason.PATIENCE_EXHAUSTED and self.wait_count >= self.patience
        if has_lost_patience or reason is EarlyStoppingReason.NON_FINITE_METRIC:
            trainer.should_stop = True

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        if self.stopping_reason_message:
            log.info("stopped early: %s", self.stopping_reason_message)
