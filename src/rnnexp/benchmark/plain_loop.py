"""A training loop in plain PyTorch, as short as it can be: the speed that a framework can at best reach."""

import copy
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grad_norm_
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from rnnexp.benchmark.measurement import Steps, TimedSteps, now

B = TypeVar("B")


@dataclass(frozen=True)
class Recipe:
    """How a model is optimized.

    Args:
        make_optimizer: parameters -> optimizer.
        make_scheduler: (optimizer, total_steps=) -> schedule, stepped after every optimizer step.
        steps: how many steps are taken.
        gradient_clip_val: the largest norm of the gradient; None clips nothing.
        seed: draws dropout and sampled tokens.
    """

    make_optimizer: Callable[[Any], Optimizer]
    make_scheduler: Callable[..., LRScheduler]
    steps: Steps
    gradient_clip_val: float | None
    seed: int


class PlainLoop(Generic[B]):
    """Trains a copy of a model on batches that are ready on the device, without metrics and logs.

    It starts from the same weights as rnnexp, with the same batches in the same order, and the same optimizer, clipping
    and schedule, so that both end at the same loss.

    Args:
        model: the model to copy.
        batches: as many as `recipe.steps.total`; iterated once in each round.
        loss: (model, batch) -> scalar.
        recipe: how the copy is optimized.
        device: of the batches, where the copy is moved.
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
            if recipe.gradient_clip_val is not None:
                clip_grad_norm_(model.parameters(), recipe.gradient_clip_val)
            optimizer.step()
            scheduler.step()
        return TimedSteps(now(self.device) - start, loss.item())
