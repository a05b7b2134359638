"""Variants of the LSTM and the GRU, with one bias for each block as in their papers."""

import math
from functools import partial
from typing import Literal

import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from rnnexp.recurrent.cells.cell import Cell, Parameter, Recurrence, State, vector
from rnnexp.recurrent.cells.gate_biases import bias_initializer

ONE_BIAS = ("weight_ih", "weight_hh", "bias_ih")
"""W, U and b. A second bias adds to the first, and is of use only for the weights of torch's kernels."""


def peephole_lstm(x: Tensor, state: State, recur: Recurrence, p_i: Tensor, p_f: Tensor, p_o: Tensor) -> State:
    """Compute an LSTM with peepholes (Gers & Schmidhuber, 2000, "Recurrent nets that time and count").

    The peepholes are diagonal, and o sees the new c, as in equations 7 to 11 of Graves (2013, arXiv:1308.0850). Blocks:
    i, f, C~, o.
    """
    h, c = state
    i, f, c_tilde, o = (x + recur(h)).chunk(4, dim=-1)
    i = torch.sigmoid(i + p_i * c)
    f = torch.sigmoid(f + p_f * c)
    c_tilde = torch.tanh(c_tilde)
    c = f * c + i * c_tilde
    o = torch.sigmoid(o + p_o * c)
    h = o * torch.tanh(c)
    return h, c


def cifg(x: Tensor, state: State, recur: Recurrence) -> State:
    """Compute an LSTM with coupled input and forget gates, CIFG (Greff et al., 2017, arXiv:1503.04069).

    f = 1 - i, without the peepholes of that paper. Blocks: i, C~, o.
    """
    h, c = state
    i, c_tilde, o = (x + recur(h)).chunk(3, dim=-1)
    i = torch.sigmoid(i)
    f = 1 - i
    c_tilde = torch.tanh(c_tilde)
    c = f * c + i * c_tilde
    o = torch.sigmoid(o)
    h = o * torch.tanh(c)
    return h, c


def mgu(x: Tensor, state: State, recur: Recurrence) -> State:
    """Compute a minimal gated unit (Zhou et al., 2016, arXiv:1603.09420). Blocks: f, h~.

    f scales h in the candidate, as r of a GRU, and replaces h, as z.
    """
    (h,) = state
    f_x, h_x = x.chunk(2, dim=-1)
    f_recur, h_recur = recur.gates
    f = torch.sigmoid(f_x + f_recur(h))
    h_tilde = torch.tanh(h_x + h_recur(f * h))
    h = (1 - f) * h + f * h_tilde
    return (h,)


def janet(x: Tensor, state: State, recur: Recurrence, beta: float) -> State:
    """Compute JANET, an LSTM with a forget gate alone (van der Westhuizen & Lasenby, 2018, arXiv:1804.04849).

    beta lets less input in than the gate forgets. h is c. Blocks: s, C~.
    """
    (c,) = state
    s, c_tilde = (x + recur(c)).chunk(2, dim=-1)
    c_tilde = torch.tanh(c_tilde)
    c = torch.sigmoid(s) * c + (1 - torch.sigmoid(s - beta)) * c_tilde
    return (c,)


def slstm(x: Tensor, state: State, recur: Recurrence, forget: str) -> State:
    """Compute an sLSTM with one head (Beck et al., 2024, arXiv:2405.04517), stabilized. Blocks: z, i, f, o.

    The exponential gates i and f are scaled by exp(-m), which cancels in c / n. The state is h, c, n, m.
    """
    h, c, n, m = state
    z, i, f, o = (x + recur(h)).chunk(4, dim=-1)
    z = torch.tanh(z)
    o = torch.sigmoid(o)
    log_f = f if forget == "exp" else logsigmoid(f)
    kept = log_f + m.masked_fill(n == 0, -math.inf)  # nothing is kept of a state with weight zero, which is the first
    m = torch.maximum(kept, i)
    f = torch.exp(kept - m)
    i = torch.exp(i - m)
    c = f * c + i * z
    n = f * n + i
    # Since the larger gate is 1, n is at least 1 in every state but one that was given, as by a bridge.
    h = o * c / n.clamp(min=1)
    return h, c, n, m


def make_peephole_lstm(forget_bias: float | None = 1.0, chrono: float | None = None) -> Cell:
    """Return an LSTM with peepholes, which start at zero. The other options are those of an LSTM."""
    return Cell(
        peephole_lstm,
        gates=4,
        states=2,
        weights=ONE_BIAS,
        parameters=dict.fromkeys(("p_i", "p_f", "p_o"), Parameter(vector)),
        initialize=bias_initializer({1: 1, 0: -1}, forget_bias, chrono),
        blocks=("i", "f", "C~", "o"),
    )


def make_cifg(forget_bias: float | None = 1.0, chrono: float | None = None) -> Cell:
    """Return an LSTM with coupled gates. The bias of i starts at -`forget_bias`, so that f starts as in an LSTM."""
    return Cell(
        cifg,
        gates=3,
        states=2,
        weights=ONE_BIAS,
        initialize=bias_initializer({0: -1}, forget_bias, chrono),
        blocks=("i", "C~", "o"),
        squashed={"i": torch.sigmoid, "o": torch.sigmoid},
    )


def make_mgu(chrono: float | None = None) -> Cell:
    """Return a minimal gated unit. `chrono` is the longest dependency in steps, for the chrono initialization of f."""
    return Cell(
        mgu,
        gates=2,
        weights=ONE_BIAS,
        initialize=bias_initializer({0: -1}, None, chrono),
        blocks=("f", "h~"),
        squashed={"f": torch.sigmoid},
    )


def make_janet(beta: float = 1.0, forget_bias: float | None = 1.0, chrono: float | None = None) -> Cell:
    """Return a JANET. The bias of its forget gate starts at `forget_bias`, or with `chrono` as in the paper."""
    return Cell(
        partial(janet, beta=beta),
        gates=2,
        weights=ONE_BIAS,
        initialize=bias_initializer({0: 1}, forget_bias, chrono),
        blocks=("s", "C~"),
        squashed={"s": torch.sigmoid},
    )


def make_slstm(forget: Literal["sigmoid", "exp"] = "sigmoid", forget_bias: float | None = 1.0) -> Cell:
    """Return an sLSTM. Its forget gate is a sigmoid or exponential, and its bias starts at `forget_bias`."""
    return Cell(
        partial(slstm, forget=forget),
        gates=4,
        states=4,
        weights=ONE_BIAS,
        separable=False,  # c and n are numbers times exp(-m)
        initialize=bias_initializer({2: 1}, forget_bias, chrono=None),
        blocks=("z", "i", "f", "o"),
        squashed={"z": torch.tanh, "o": torch.sigmoid} | ({"f": torch.sigmoid} if forget == "sigmoid" else {}),
    )
