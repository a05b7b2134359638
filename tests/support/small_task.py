"""The arguments of small tasks over sequences and a small batch, for tests without a trainer."""

from functools import partial
from typing import Any

import torch

from rnnexp.data.batches import TranslationBatch
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.schedules import constant

TIME, FEATURES = 5, 3
ARGUMENTS: dict[str, Any] = {
    "make_stack": partial(RecurrentStack, "gru", hidden_size=7),
    "make_optimizer": partial(torch.optim.SGD, lr=0.1),
    "make_scheduler": constant,
    "input_size": FEATURES,
    "dropout": 0.0,
}


def batch_without_padding() -> TranslationBatch:
    """Return six sentence pairs of random tokens and equal lengths: the reference backend computes padding too."""
    generator = torch.Generator().manual_seed(0)
    source, target = (torch.randint(4, 30, (6, time), generator=generator) for time in (9, 11))
    return TranslationBatch(source, torch.full((6,), 9), target, torch.full((6,), 11), torch.arange(6))
