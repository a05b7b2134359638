"""LSTM and GRU with layer normalization inside the cell, and with UR gates."""

from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import layer_norm

from rnnexp.recurrent.cells.cell import Parameter, Recurrence, State, vector


def norm(a: Tensor, alpha: Tensor, beta: Tensor | None = None) -> Tensor:
    """Return LN(a; alpha, beta), normalized over the features."""
    return layer_norm(a, a.shape[-1:], alpha, beta)


def normalized_lstm(
    x: Tensor,
    state: State,
    recur: Recurrence,
    alpha_x: Tensor,
    alpha_h: Tensor,
    beta: Tensor,
    alpha_c: Tensor,
    beta_c: Tensor,
) -> State:
    """Compute an LSTM with layer normalization (Ba et al., 2016, arXiv:1607.06450, equations 20 to 22).

    The blocks are normalized together. beta is the sum of all biases that the paper adds to them. Blocks: i, f, C~, o.
    """
    h, c = state
    i, f, c_tilde, o = (norm(x, alpha_x, beta) + norm(recur(h), alpha_h)).chunk(4, dim=-1)
    c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(c_tilde)
    h = torch.sigmoid(o) * torch.tanh(norm(c, alpha_c, beta_c))
    return h, c


def normalized_gru(
    x: Tensor, state: State, recur: Recurrence, alpha_x: Tensor, alpha_h: Tensor, beta: Tensor, beta_h: Tensor
) -> State:
    """Compute a GRU with layer normalization (the same paper, in its supplement). Blocks: r, z, h~.

    r and z are normalized together, and h~ alone. r scales the normalized product, and z keeps h.
    """
    (h,) = state
    sizes = [2 * h.shape[-1], h.shape[-1]]
    (gates_x, h_x), (gates_h, h_h) = torch.split(x, sizes, dim=-1), torch.split(recur(h), sizes, dim=-1)
    (gates_alpha_x, h_alpha_x), (gates_alpha_h, h_alpha_h) = torch.split(alpha_x, sizes), torch.split(alpha_h, sizes)
    gates_beta, h_beta = torch.split(beta, sizes)
    gates = norm(gates_x, gates_alpha_x, gates_beta) + norm(gates_h, gates_alpha_h)
    r, z = torch.sigmoid(gates).chunk(2, dim=-1)
    h_tilde = torch.tanh(norm(h_x, h_alpha_x, h_beta) + r * norm(h_h, h_alpha_h, beta_h))
    h = (1 - z) * h_tilde + z * h
    return (h,)


def _gains(blocks: int) -> Parameter:
    return Parameter(partial(vector, blocks=blocks), nn.init.ones_)


def _biases(blocks: int) -> Parameter:
    return Parameter(partial(vector, blocks=blocks))


NORMALIZED = ("weight_ih", "weight_hh")
"""W and U. The biases are those of the normalization."""
LSTM_NORMS = {
    "alpha_x": _gains(4),
    "alpha_h": _gains(4),
    "beta": _biases(4),
    "alpha_c": _gains(1),
    "beta_c": _biases(1),
}
GRU_NORMS = {"alpha_x": _gains(3), "alpha_h": _gains(3), "beta": _biases(3), "beta_h": _biases(1)}


def refine(f: Tensor, r: Tensor) -> Tensor:
    """Return a gate f that r moves up to 1 - (1 - f)^2 or down to f^2 (Gu et al., 2020, arXiv:1910.09890)."""
    return r * (1 - (1 - f) ** 2) + (1 - r) * f**2


def ur_lstm(x: Tensor, state: State, recur: Recurrence) -> State:
    """Compute a UR-LSTM (the same paper): r refines f, and no input gate remains. Blocks: r, f, C~, o."""
    h, c = state
    r, f, c_tilde, o = (x + recur(h)).chunk(4, dim=-1)
    g = refine(torch.sigmoid(f), torch.sigmoid(r))
    c = g * c + (1 - g) * torch.tanh(c_tilde)
    h = torch.sigmoid(o) * torch.tanh(c)
    return h, c


def ur_gru(x: Tensor, state: State, recur: Recurrence) -> State:
    """Compute a GRU whose z, which keeps h, is refined by a gate s (the same paper). Blocks: r, z, s, h~."""
    (h,) = state
    r_x, z_x, s_x, h_x = x.chunk(4, dim=-1)
    r_h, z_h, s_h, h_h = recur(h).chunk(4, dim=-1)
    r = torch.sigmoid(r_x + r_h)
    z = refine(torch.sigmoid(z_x + z_h), torch.sigmoid(s_x + s_h))
    h_tilde = torch.tanh(h_x + r * h_h)
    h = (1 - z) * h_tilde + z * h
    return (h,)
