"""Cells of a user, which have no kernel and no step written by hand."""

import torch
from torch import Tensor, nn

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


class DecayCell(nn.Module):
    """A cell with a part, a buffer and dropout. Its state is a trace and its mean."""

    def __init__(self, input_size: int, hidden_size: int, *, decay: float = 0.5, dropout: float = 0.0) -> None:
        super().__init__()
        self.product = nn.Linear(input_size + hidden_size, hidden_size)
        self.dropout = nn.Dropout(dropout)
        self.register_buffer("decay", torch.tensor(decay))

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        h, mean = state
        h = torch.tanh(self.product(torch.cat([x, self.dropout(h)], dim=1)))
        return h + mean, self.decay * mean + (1 - self.decay) * h
