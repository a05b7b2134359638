"""The plain loop follows its recipe and restores the model afterwards."""

from collections.abc import Iterator
from functools import partial

import pytest
import torch
from torch import Tensor, nn
from torch.optim import SGD
from torch.optim.lr_scheduler import LambdaLR

from rnnexp.benchmark.measurement import Steps
from rnnexp.benchmark.plain_loop import PlainLoop, Recipe

RECIPE = Recipe(
    make_optimizer=partial(SGD, lr=0.5),
    make_scheduler=lambda optimizer, total_steps: LambdaLR(optimizer, lambda step: 1 - step / total_steps),
    steps=Steps(warmup=1, timed=2),
    gradient_clip_val=1.0,
    seed=0,
)


class Ready:
    """A loader of three batches that counts how many it gave."""

    def __init__(self) -> None:
        self.num_given = 0

    def __iter__(self) -> Iterator[Tensor]:
        for _ in range(RECIPE.steps.total):
            self.num_given += 1
            yield torch.full((1, 1), 10.0)


def test_steps_are_clipped_and_scheduled() -> None:
    model, batches = nn.Linear(1, 1, bias=False), Ready()
    nn.init.zeros_(model.weight)
    loop = PlainLoop(model, batches, lambda network, batch: network(batch).sum(), RECIPE, torch.device("cpu"))
    timed = loop()
    assert timed.seconds > 0
    assert batches.num_given == 3
    # Each gradient is 10, clipped to 1; rates are 0.5 * (1, 3/4); the loss is that of the last step's weight.
    assert timed.final_loss == pytest.approx(-10 * 0.5 * (1 + 3 / 4), rel=1e-5)
    assert model.weight.item() == 0
    assert loop().final_loss == timed.final_loss, "every round starts from the same weights"
