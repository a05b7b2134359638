"""The callback that ends training early, and the check of its metric."""

import logging

from lightning.pytorch import LightningModule, Trainer

from rnnexp.compat.lightning import ConditionalEarlyStopping
from rnnexp.core.errors import UserError
from rnnexp.core.validation import did_you_mean

log = logging.getLogger(__name__)


def is_measured(trainer: Trainer, monitor: str) -> bool:
    """Return whether the metric has a value. No validation metric has one before the first validation.

    Raises:
        UserError: for a metric that validation does not log.
    """
    metrics = trainer.callback_metrics
    if monitor in metrics:
        return True
    if any(name.startswith("val/") for name in metrics):
        raise UserError(
            f"callbacks: monitor={monitor!r} is not measured; choose one of {', '.join(sorted(metrics))}"
            f"{did_you_mean(monitor, metrics)}"
        )
    return False


class EarlyStopping(ConditionalEarlyStopping):
    """A callback that stops after `patience` validations without a better value of the monitored metric, and logs why.

    Args:
        monitor: name of the metric, `val/acc`.
        mode: `max` or `min`.
        patience: validations without a better value.
    """

    def __init__(self, monitor: str, mode: str, patience: int) -> None:
        super().__init__(monitor=monitor, mode=mode, patience=patience)

    def is_due(self, trainer: Trainer) -> bool:
        return is_measured(trainer, self.monitor)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        if self.stopping_reason_message:
            log.info("stopped early: %s", self.stopping_reason_message)
