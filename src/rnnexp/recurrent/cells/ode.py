"""Cells that are discretizations of ordinary differential equations."""

import math
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rnnexp.recurrent.cells.cell import Cell, Parameter, Recurrence, State, matrix


def antisymmetric(x: Tensor, state: State, recur: None, u: Tensor, epsilon: float, gamma: float) -> State:  # noqa: ARG001
    """Compute an antisymmetric network (Chang et al., 2019, arXiv:1902.09689): Euler's method with step epsilon.

    The eigenvalues of U - U^T - gamma I have the real part -gamma.
    """
    (h,) = state
    h = h + epsilon * torch.tanh(x + linear(h, u - u.t()) - gamma * h)
    return (h,)


def gated_antisymmetric(x: Tensor, state: State, recur: None, u: Tensor, epsilon: float, gamma: float) -> State:  # noqa: ARG001
    """Compute an antisymmetric network with an input gate z (the same paper). Blocks: z, h."""
    (h,) = state
    z, h_x = x.chunk(2, dim=-1)
    recurrent = linear(h, u - u.t()) - gamma * h
    z = torch.sigmoid(z + recurrent)
    h = h + epsilon * z * torch.tanh(h_x + recurrent)
    return (h,)


def cornn(x: Tensor, state: State, recur: Recurrence, u_z: Tensor, dt: float, gamma: float, epsilon: float) -> State:
    """Compute a coupled oscillatory network (Rusch & Mishra, 2021, arXiv:2010.00951, equation 3), explicit in z.

    y is h, and z its velocity.
    """
    y, z = state
    z = z + dt * (torch.tanh(x + recur(y) + linear(z, u_z)) - gamma * y - epsilon * z)
    y = y + dt * z
    return y, z


def lem(x: Tensor, state: State, recur: Recurrence, dt: float) -> State:
    """Compute a long expressive memory (Rusch et al., 2022, arXiv:2110.04744, equation 3). Blocks: Δt, Δt-, z, y.

    y is h. Both time steps, Δt of z and Δt- of y, are learned, and the block of y multiplies the new z.
    """
    y, z = state
    dt_x, dt_bar_x, z_x, y_x = x.chunk(4, dim=-1)
    dt_recur, dt_bar_recur, z_recur, y_recur = recur.gates
    dt_z = dt * torch.sigmoid(dt_x + dt_recur(y))
    dt_y = dt * torch.sigmoid(dt_bar_x + dt_bar_recur(y))
    z = (1 - dt_z) * z + dt_z * torch.tanh(z_x + z_recur(y))
    y = (1 - dt_y) * y + dt_y * torch.tanh(y_x + y_recur(z))
    return y, z


def _normal(weight: Tensor) -> None:
    nn.init.normal_(weight, std=1 / math.sqrt(len(weight)))


def make_antisymmetric(epsilon: float = 0.01, gamma: float = 0.01, gated: bool = False) -> Cell:
    """Return an antisymmetric network with step `epsilon` and diffusion `gamma`, with or without a gate."""
    step = gated_antisymmetric if gated else antisymmetric
    return Cell(
        partial(step, epsilon=epsilon, gamma=gamma),
        gates=1 + gated,
        weights=("weight_ih", "bias_ih"),
        parameters={"u": Parameter(matrix, _normal)},
        blocks=("z", "h") if gated else ("h",),
    )


def make_cornn(dt: float = 0.042, gamma: float = 2.7, epsilon: float = 4.7) -> Cell:
    """Return a coupled oscillatory network. The defaults are those of the paper for MNIST pixel by pixel."""
    return Cell(
        partial(cornn, dt=dt, gamma=gamma, epsilon=epsilon),
        gates=1,
        states=2,
        weights=("weight_ih", "weight_hh", "bias_ih"),
        parameters={"u_z": Parameter(matrix, nn.init.xavier_uniform_)},
        blocks=("z",),
    )


def make_lem(dt: float = 1.0) -> Cell:
    """Return a long expressive memory, whose time steps are at most `dt`."""
    return Cell(
        partial(lem, dt=dt),
        gates=4,
        states=2,
        weights=("weight_ih", "weight_hh", "bias_ih"),
        blocks=("Δt", "Δt-", "z", "y"),
        squashed={"Δt": torch.sigmoid, "Δt-": torch.sigmoid, "z": torch.tanh},
    )
