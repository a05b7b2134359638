"""A minimal training loop in plain PyTorch, whose speed is an upper bound for a framework."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from rnnexp.benchmark.measurement import Steps, TimedSteps
from rnnexp.core.clock import now

B = TypeVar("B")


@dataclass(frozen=True)
class Recipe:
    """The optimization of a model.

    Args:
        make_optimizer: parameters -> optimizer.
        make_scheduler: (optimizer, total_steps=) -> schedule, stepped after every optimizer step.
        steps: the numbers of steps.
        gradient_clip_val: the maximum norm of the gradient; None and 0 disable clipping.
        seed: the seed of dropout and sampled tokens.
    """

    make_optimizer: Callable[[Any], Optimizer]
    make_scheduler: Callable[..., LRScheduler]
    steps: Steps
    gradient_clip_val: float | None
    seed: int


class PlainLoop(Generic[B]):
    """A callable that trains a copy of a model on batches that are on the device, without metrics and logs.

    It has the initial weights, the batches in their order, the optimizer, the clipping and the schedule of rnnexp, so
    that both end with the same loss.

    Args:
        model: the model to copy.
        batches: `recipe.steps.total` batches, iterated once in each round.
        loss: (model, batch) -> scalar.
        recipe: the optimization of the copy.
        device: the device of the batches, to which the copy is moved.
    """

    def __init__(
        self,
        model: nn.Module,
        batches: Iterable[B],
        loss: Callable[[nn.Module, B], Tensor],
        recipe: Recipe,
        device: torch.device,
    ) -> None:
        self.model, self.batches, self.loss, self.recipe, self.device = model, batches, loss, recipe, device

    def __call__(self) -> TimedSteps:
        """Train, and return the time of the timed steps."""
        recipe = self.recipe
        model = copy.deepcopy(self.model).to(self.device).train()
        optimizer = recipe.make_optimizer(model.parameters())
        scheduler = recipe.make_scheduler(optimizer, total_steps=recipe.steps.scheduled)
        torch.manual_seed(recipe.seed)  # as in rnnexp, so that the same units are dropped and the same tokens drawn
        start = 0.0
        for step, batch in enumerate(self.batches):
            if step == recipe.steps.warmup:
                start = now(self.device)
            loss = self.loss(model, batch)
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            if recipe.gradient_clip_val:
                clip_grad_norm_(model.parameters(), recipe.gradient_clip_val)
            optimizer.step()
            scheduler.step()
        return TimedSteps(now(self.device) - start, loss.item())
