"""The cells that torch has kernels for: SRN, LSTM and GRU."""

from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn.utils import parametrizations

from rnnexp.recurrent.batched_steps import GRU_AFTER, GRU_BEFORE, SRN_RELU, SRN_TANH
from rnnexp.recurrent.cells.cell import Cell, Recurrence, State
from rnnexp.recurrent.cells.gate_biases import bias_initializer
from rnnexp.recurrent.cells.modified import (
    GRU_NORMS,
    LSTM_NORMS,
    NORMALIZED,
    normalized_gru,
    normalized_lstm,
    ur_gru,
    ur_lstm,
)

ORTHOGONAL = partial(parametrizations.orthogonal, orthogonal_map="cayley")  # faster than the exponential of a matrix


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


def make_srn(nonlinearity: Literal["tanh", "relu"] = "tanh", orthogonal: bool = False) -> Cell:
    """Return a simple recurrent network. With `orthogonal` U stays orthogonal during training."""
    is_relu = nonlinearity == "relu"
    return Cell(
        srn_relu if is_relu else srn_tanh,
        gates=1,
        parametrizations={"weight_hh": ORTHOGONAL} if orthogonal else {},
        fused=torch.rnn_relu if is_relu else torch.rnn_tanh,
        batched=SRN_RELU if is_relu else SRN_TANH,
        blocks=("h",),
        squashed={"h": torch.relu if is_relu else torch.tanh},
    )


def make_lstm(
    forget_bias: float | None = 1.0, chrono: float | None = None, layer_norm: bool = False, ur_gates: bool = False
) -> Cell:
    """Return an LSTM. The biases b + d of its forget gate start at `forget_bias`; None leaves them to the stack.

    `chrono` is the longest dependency in steps, for the chrono initialization of f and i. `layer_norm` and `ur_gates`
    choose the equations of `rnnexp.recurrent.cells.modified`.
    """
    _require_one_change(layer_norm, ur_gates)
    if ur_gates and forget_bias not in (None, 1.0):
        raise ValueError("ur_gates has an initialization of its own: leave out forget_bias")
    initialize = bias_initializer({1: 1, 0: -1}, forget_bias, chrono, uniform=ur_gates)
    make = partial(Cell, gates=4, states=2, initialize=initialize)
    if layer_norm:
        return make(normalized_lstm, weights=NORMALIZED, parameters=LSTM_NORMS, blocks=("i", "f", "C~", "o"))
    first = "r" if ur_gates else "i"
    blocks = (first, "f", "C~", "o")
    gates = dict.fromkeys((first, "f", "o"), torch.sigmoid)
    if ur_gates:
        return make(ur_lstm, blocks=blocks, squashed=gates)
    return make(lstm, fused=torch.lstm, blocks=blocks, squashed=gates)


def make_gru(
    reset: Literal["after", "before"] = "after",
    chrono: float | None = None,
    layer_norm: bool = False,
    ur_gates: bool = False,
) -> Cell:
    """Return a GRU. Its reset gate scales U h + d (`after`: PyTorch) or h (`before`: Cho et al., 2014; no kernel).

    `chrono` is the longest dependency in steps, for the chrono initialization of z. `layer_norm` and `ur_gates` choose
    the equations of `rnnexp.recurrent.cells.modified`.
    """
    _require_one_change(layer_norm, ur_gates)
    is_before = reset == "before"
    if is_before and (layer_norm or ur_gates):
        raise ValueError("layer_norm and ur_gates are those of a GRU whose reset gate scales U h: use reset=after")
    signs = {1: 1, 2: -1} if ur_gates else {1: -1 if is_before else 1}
    make = partial(Cell, initialize=bias_initializer(signs, None, chrono, uniform=ur_gates))
    if layer_norm:
        return make(normalized_gru, gates=3, weights=NORMALIZED, parameters=GRU_NORMS, blocks=("r", "z", "h~"))
    if ur_gates:
        refined = dict.fromkeys(("r", "z", "s"), torch.sigmoid)
        return make(ur_gru, gates=4, blocks=("r", "z", "s", "h~"), squashed=refined)
    return make(
        gru_reset_before if is_before else gru_reset_after,
        gates=3,
        fused=None if is_before else torch.gru,
        batched=GRU_BEFORE if is_before else GRU_AFTER,
        blocks=("r", "z", "h~"),
        squashed={"r": torch.sigmoid, "z": torch.sigmoid},
    )


def _require_one_change(layer_norm: bool, ur_gates: bool) -> None:
    if layer_norm and ur_gates:
        raise ValueError("layer_norm and ur_gates are changes of different papers: choose one")
