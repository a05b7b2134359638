"""Which validation the values of `Trainer.callback_metrics` are of. They remain there when training goes on."""

from lightning.pytorch import Trainer

from rnnexp.core.errors import UserError
from rnnexp.core.validation import did_you_mean

VALIDATION = "val/"
"""The start of the names of metrics of validation."""


class LastValidation:
    """The optimizer step of the last validation. A callback passes each one to `record`."""

    def __init__(self) -> None:
        self._step: int | None = None

    def record(self, trainer: Trainer) -> None:
        """Record a validation that has ended. The sanity check before training is none."""
        if not trainer.sanity_checking:
            self._step = trainer.global_step

    def is_of_now(self, trainer: Trainer) -> bool:
        """Return whether the validation measured the present weights."""
        return self._step == trainer.global_step

    def measures(self, trainer: Trainer, monitor: str) -> bool:
        """Return whether the metric has a value of the present weights.

        Raises:
            UserError: for a metric that validation does not log.
        """
        return is_measured(trainer, monitor) and (self.is_of_now(trainer) or not monitor.startswith(VALIDATION))


def is_within_epoch(trainer: Trainer) -> bool:
    """Return whether a validation of training has ended after which the epoch goes on."""
    return not (trainer.sanity_checking or trainer.is_last_batch)


def is_measured(trainer: Trainer, monitor: str) -> bool:
    """Return whether the metric has a value. No validation metric has one before the first validation.

    Raises:
        UserError: for a metric that validation does not log.
    """
    metrics = trainer.callback_metrics
    if monitor in metrics:
        return True
    if any(name.startswith(VALIDATION) for name in metrics):
        raise UserError(
            f"callbacks: monitor={monitor!r} is not measured; choose one of {', '.join(sorted(metrics))}"
            f"{did_you_mean(monitor, metrics)}"
        )
    return False
