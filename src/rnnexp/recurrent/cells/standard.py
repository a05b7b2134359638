"""The cells that torch has kernels for: SRN, LSTM and GRU."""

from typing import Literal

import torch
from torch import Tensor

from rnnexp.recurrent.batched_steps import GRU_AFTER, GRU_BEFORE, SRN_RELU, SRN_TANH
from rnnexp.recurrent.cells.cell import Cell, Recurrence, State
from rnnexp.recurrent.cells.gate_biases import bias_initializer


def srn_tanh(x: Tensor, state: State, recur: Recurrence) -> State:
    """Compute a simple recurrent network (Elman, 1990, "Finding structure in time")."""
    (h,) = state
    h = torch.tanh(x + recur(h))
    return (h,)


def srn_relu(x: Tensor, state: State, recur: Recurrence) -> State:
    """Compute a simple recurrent network of rectified units (Le, Jaitly & Hinton, 2015, arXiv:1504.00941)."""
    (h,) = state
    h = torch.relu(x + recur(h))
    return (h,)


def lstm(x: Tensor, state: State, recur: Recurrence) -> State:
    """Compute an LSTM with forget gate (Gers, Schmidhuber & Cummins, 2000), without peepholes. Blocks: i, f, C~, o."""
    h, c = state
    i, f, c_tilde, o = (x + recur(h)).chunk(4, dim=-1)
    f = torch.sigmoid(f)
    i = torch.sigmoid(i)
    c_tilde = torch.tanh(c_tilde)
    c = f * c + i * c_tilde
    o = torch.sigmoid(o)
    h = o * torch.tanh(c)
    return h, c


def gru_reset_after(x: Tensor, state: State, recur: Recurrence) -> State:
    """Compute the GRU of PyTorch and cuDNN: r scales U h + d, after the product, and z keeps h. Blocks: r, z, h~."""
    (h,) = state
    r_x, z_x, h_x = x.chunk(3, dim=-1)
    r_h, z_h, h_h = recur(h).chunk(3, dim=-1)
    r = torch.sigmoid(r_x + r_h)
    z = torch.sigmoid(z_x + z_h)
    h_tilde = torch.tanh(h_x + r * h_h)
    h = (1 - z) * h_tilde + z * h
    return (h,)


def gru_reset_before(x: Tensor, state: State, recur: Recurrence) -> State:
    """Compute the GRU of Cho et al. (2014, arXiv:1406.1078): r scales h, before the product. Blocks: r, z, h~.

    Here z replaces h, as in Chung et al. (2014, arXiv:1412.3555); in PyTorch's GRU it keeps h.
    """
    (h,) = state
    r_x, z_x, h_x = x.chunk(3, dim=-1)
    r_recur, z_recur, h_recur = recur.gates
    z = torch.sigmoid(z_x + z_recur(h))
    r = torch.sigmoid(r_x + r_recur(h))
    h_tilde = torch.tanh(h_x + h_recur(r * h))
    h = (1 - z) * h + z * h_tilde
    return (h,)


def make_srn(nonlinearity: Literal["tanh", "relu"] = "tanh") -> Cell:
    """Return a simple recurrent network."""
    if nonlinearity == "relu":
        rectified = {"h": torch.relu}
        return Cell(srn_relu, gates=1, fused=torch.rnn_relu, batched=SRN_RELU, blocks=("h",), squashed=rectified)
    return Cell(srn_tanh, gates=1, fused=torch.rnn_tanh, batched=SRN_TANH, blocks=("h",), squashed={"h": torch.tanh})


def make_lstm(forget_bias: float | None = 1.0, chrono: float | None = None) -> Cell:
    """Return an LSTM. The biases b + d of its forget gate start at `forget_bias`; None leaves them to the stack.

    `chrono` is the longest dependency in steps, for the chrono initialization of f and i.
    """
    gates = {"i": torch.sigmoid, "f": torch.sigmoid, "o": torch.sigmoid}
    initialize = bias_initializer({1: 1, 0: -1}, forget_bias, chrono)
    blocks = ("i", "f", "C~", "o")
    return Cell(lstm, gates=4, states=2, initialize=initialize, fused=torch.lstm, blocks=blocks, squashed=gates)


def make_gru(reset: Literal["after", "before"] = "after", chrono: float | None = None) -> Cell:
    """Return a GRU. Its reset gate scales U h + d (`after`: PyTorch) or h (`before`: Cho et al., 2014; no kernel).

    `chrono` is the longest dependency in steps, for the chrono initialization of z.
    """
    is_before = reset == "before"
    return Cell(
        gru_reset_before if is_before else gru_reset_after,
        gates=3,
        initialize=bias_initializer({1: -1 if is_before else 1}, None, chrono),
        fused=None if is_before else torch.gru,
        batched=GRU_BEFORE if is_before else GRU_AFTER,
        blocks=("r", "z", "h~"),
        squashed={"r": torch.sigmoid, "z": torch.sigmoid},
    )
