"""A cell of a user, which has no kernel and no step written by hand."""

import torch
from torch import Tensor

from rnnexp.recurrent import Cell, Recurrence, State


def step(x: Tensor, state: State, recur: Recurrence) -> State:
    """Zhou et al. (2016, arXiv:1603.09420), the minimal gated unit. Blocks: f, h~."""
    (h,) = state
    f_x, h_x = x.chunk(2, dim=-1)
    f_recur, h_recur = recur.gates
    f = torch.sigmoid(f_x + f_recur(h))
    h_tilde = torch.tanh(h_x + h_recur(f * h))
    return ((1 - f) * h + f * h_tilde,)


minimal_gated_unit = Cell(step, gates=2)
