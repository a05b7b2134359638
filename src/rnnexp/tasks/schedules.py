"""Schedules of the learning rate over all optimizer steps of training."""

import math

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from rnnexp.core.validation import require_fraction


def constant(optimizer: Optimizer, total_steps: int) -> LRScheduler:  # noqa: ARG001 (the signature of schedules)
    """Return a schedule that keeps the optimizer's rate."""
    return LambdaLR(optimizer, lambda _: 1.0)


def one_cycle(
    optimizer: Optimizer, total_steps: int, warmup: float, initial_divisor: float, final_divisor: float
) -> LRScheduler:
    """Return a schedule that rises to the optimizer's rate and falls again, both along cosines.

    The source is Smith & Topin, 2017, arXiv:1708.07120.

    Args:
        warmup: share of the steps in which the rate rises.
        initial_divisor: the first rate is the optimizer's divided by it.
        final_divisor: the last rate is the first divided by it.
    """
    require_fraction(warmup=warmup)
    total_steps = max(2, total_steps)
    return OneCycleLR(
        optimizer,
        max_lr=[group["lr"] for group in optimizer.param_groups],
        total_steps=total_steps,
        # With the highest rate at the first step, OneCycleLR divides by the 0 steps before it.
        pct_start=0.0 if warmup * total_steps == 1 else float(warmup),
        div_factor=initial_divisor,
        final_div_factor=final_divisor,
        # Cycling the momentum would change Adam's first coefficient, which the optimizer's config sets.
        cycle_momentum=False,
    )


def cosine(optimizer: Optimizer, total_steps: int, warmup: float) -> LRScheduler:
    """Return a schedule that rises linearly to the optimizer's rate, then falls to 0 along a cosine.

    Args:
        warmup: share of the steps in which the rate rises.
    """
    require_fraction(warmup=warmup)
    num_warmup = round(warmup * total_steps)

    def factor(step: int) -> float:
        if step < num_warmup:
            return (step + 1) / (num_warmup + 1)
        return 0.5 * (1 + math.cos(math.pi * (step - num_warmup) / max(1, total_steps - num_warmup)))

    return LambdaLR(optimizer, factor)
