"""The metric that decides which checkpoint is best and when to stop."""

from lightning.pytorch import Trainer

from rnnexp.arguments import near_miss
from rnnexp.errors import UserError


def is_measured(trainer: Trainer, monitor: str) -> bool:
    """Whether the metric has a value yet; none has before the first validation, and a run may end without one.

    Raises:
        UserError: for a metric that a validation does not give.
    """
    metrics = trainer.callback_metrics
    if monitor in metrics:
        return True
    if any(name.startswith("val/") for name in metrics):
        raise UserError(
            f"callbacks: monitor={monitor!r} is not measured; choose one of {', '.join(sorted(metrics))}"
            f"{near_miss(monitor, metrics)}"
        )
    return False
