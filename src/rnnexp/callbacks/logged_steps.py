"""Which steps are logged. Lightning takes a value at any step, and drops it at all others, for 0.3 ms of a CPU each."""

from lightning.pytorch import Trainer


def is_logged_step(trainer: Trainer) -> bool:
    """Whether loggers get what is logged in the step under way, before its optimiser has stepped."""
    every: int = trainer.log_every_n_steps  # type: ignore[attr-defined]
    return (trainer.global_step + 1) % every == 0


def is_last_step(trainer: Trainer) -> bool:
    """Whether the step under way ends an epoch or training, whose last values stay to be seen."""
    return bool(trainer.is_last_batch) or trainer.global_step + 1 == trainer.max_steps
