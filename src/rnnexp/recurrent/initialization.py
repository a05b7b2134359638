"""The values with which a layer's weights start, one direction at a time."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn


def orthogonal(weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor) -> None:
    """Gate by gate: recurrent blocks orthogonal (Saxe et al., 2014, arXiv:1312.6120), which neither shrink nor grow h,
    input blocks uniform as in Glorot & Bengio (2010), biases zero.
    """
    hidden_size = weight_hh.shape[1]
    for block in torch.split(weight_ih, hidden_size):
        nn.init.xavier_uniform_(block)
    for block in torch.split(weight_hh, hidden_size):
        # The decomposition does not exist below single precision.
        precise = torch.empty_like(block, dtype=torch.promote_types(block.dtype, torch.float32))
        block.copy_(nn.init.orthogonal_(precise))
    nn.init.zeros_(bias_ih)
    nn.init.zeros_(bias_hh)


def pytorch(weight_ih: Tensor, weight_hh: Tensor, bias_ih: Tensor, bias_hh: Tensor) -> None:
    """As torch.nn's recurrent modules start: all uniform within ±1/sqrt(hidden), drawn in the same order."""
    bound = 1 / math.sqrt(weight_hh.shape[1])
    for tensor in (weight_ih, weight_hh, bias_ih, bias_hh):
        nn.init.uniform_(tensor, -bound, bound)


INITIALIZATIONS: dict[str, Callable[[Tensor, Tensor, Tensor, Tensor], None]] = {
    "orthogonal": orthogonal,
    "pytorch": pytorch,
}


def set_gate_bias(bias_ih: Tensor, bias_hh: Tensor, gate: int, hidden_size: int, value: float) -> None:
    """Make b_ih + b_hh of one gate equal to the value; setting it in both would apply it twice."""
    rows = slice(gate * hidden_size, (gate + 1) * hidden_size)
    bias_ih[rows] = value
    bias_hh[rows] = 0
