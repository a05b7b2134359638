"""The arguments of small tasks over sequences, for tests without a trainer."""

from functools import partial
from typing import Any

import torch

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
