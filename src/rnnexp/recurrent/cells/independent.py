"""Cells without U: the units of a layer do not depend on each other."""

from functools import partial
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from rnnexp.recurrent.cells.cell import Cell, Parameter, State, vector

WITHOUT_U = ("weight_ih", "bias_ih")


def indrnn_relu(x: Tensor, state: State, recur: None, u: Tensor) -> State:  # noqa: ARG001
    """Compute an independently recurrent network (Li et al., 2018, arXiv:1803.04831, equation 2): u is a vector."""
    (h,) = state
    h = torch.relu(x + u * h)
    return (h,)


def indrnn_tanh(x: Tensor, state: State, recur: None, u: Tensor) -> State:  # noqa: ARG001
    """Compute an independently recurrent network with tanh."""
    (h,) = state
    h = torch.tanh(x + u * h)
    return (h,)


def min_gru(x: Tensor, state: State, recur: None) -> State:  # noqa: ARG001
    """Compute a minGRU (Feng et al., 2024, arXiv:2410.01201, section 3.1): z and h~ depend on x alone.

    Blocks: z, h~.
    """
    (h,) = state
    z, h_tilde = x.chunk(2, dim=-1)
    z = torch.sigmoid(z)
    h = (1 - z) * h + z * h_tilde
    return (h,)


def min_lstm(x: Tensor, state: State, recur: None) -> State:  # noqa: ARG001
    """Compute a minLSTM (Feng et al., 2024, arXiv:2410.01201, section 3.2). Blocks: f, i, h~.

    f' = f / (f + i) and i' = i / (f + i), for f and i the sigmoids of their blocks.
    """
    (h,) = state
    f, i, h_tilde = x.chunk(3, dim=-1)
    f = torch.sigmoid(logsigmoid(f) - logsigmoid(i))  # the quotient, which is 0 / 0 if both sigmoids underflow
    i = 1 - f
    h = f * h + i * h_tilde
    return (h,)


def min_gru_coefficients(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return 1 - z and z h~ of a minGRU."""
    z, h_tilde = x.chunk(2, dim=-1)
    z = torch.sigmoid(z)
    return 1 - z, z * h_tilde


def min_lstm_coefficients(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return f' and i' h~ of a minLSTM."""
    f, i, h_tilde = x.chunk(3, dim=-1)
    f = torch.sigmoid(logsigmoid(f) - logsigmoid(i))
    return f, (1 - f) * h_tilde


def make_indrnn(nonlinearity: Literal["relu", "tanh"] = "relu") -> Cell:
    """Return an independently recurrent network. u starts uniformly in [0, 1], and is not bounded during training."""
    return Cell(
        indrnn_relu if nonlinearity == "relu" else indrnn_tanh,
        gates=1,
        weights=WITHOUT_U,
        parameters={"u": Parameter(vector, partial(nn.init.uniform_, a=0.0, b=1.0))},
        blocks=("h",),
    )


MIN_GRU = Cell(
    min_gru,
    gates=2,
    weights=WITHOUT_U,
    coefficients=min_gru_coefficients,
    blocks=("z", "h~"),
    squashed={"z": torch.sigmoid},
)
MIN_LSTM = Cell(
    min_lstm,
    gates=3,
    weights=WITHOUT_U,
    coefficients=min_lstm_coefficients,
    blocks=("f", "i", "h~"),
    squashed={"f": torch.sigmoid, "i": torch.sigmoid},
)
