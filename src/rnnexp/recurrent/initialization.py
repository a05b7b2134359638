"""The initialization of the weights of one layer in one direction."""

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn


def orthogonal(weights: Mapping[str, Tensor], hidden_size: int) -> None:
    """Initialize gate by gate: recurrent blocks orthogonal, input blocks Glorot uniform, biases zero.

    Orthogonal blocks (Saxe et al., 2014, arXiv:1312.6120) neither shrink nor grow h. The bounds of input blocks are
    those of Glorot & Bengio (2010).
    """
    for block in torch.split(weights["weight_ih"], hidden_size):
        nn.init.xavier_uniform_(block)
    if "weight_hh" in weights:
        for block in torch.split(weights["weight_hh"], hidden_size):
            # The decomposition is not implemented below single precision.
            precise = torch.empty_like(block, dtype=torch.promote_types(block.dtype, torch.float32))
            block.copy_(nn.init.orthogonal_(precise))
    _zero_biases(weights)


def _zero_biases(weights: Mapping[str, Tensor]) -> None:
    for name in ("bias_ih", "bias_hh"):
        if name in weights:
            nn.init.zeros_(weights[name])


def identity(weights: Mapping[str, Tensor], hidden_size: int) -> None:
    """Initialize like an IRNN: recurrent blocks the identity, input blocks normal with deviation 0.001, biases zero.

    With `nonlinearity=relu` an SRN then adds up its input (Le, Jaitly & Hinton, 2015, arXiv:1504.00941).
    """
    nn.init.normal_(weights["weight_ih"], std=0.001)
    if "weight_hh" in weights:
        for block in torch.split(weights["weight_hh"], hidden_size):
            nn.init.eye_(block)
    _zero_biases(weights)


def pytorch(weights: Mapping[str, Tensor], hidden_size: int) -> None:
    """Initialize like torch.nn's recurrent modules: all uniform within ±1/sqrt(hidden), drawn in the same order."""
    bound = 1 / math.sqrt(hidden_size)
    for tensor in weights.values():
        nn.init.uniform_(tensor, -bound, bound)


INITIALIZATIONS: dict[str, Callable[[Mapping[str, Tensor], int], None]] = {
    "orthogonal": orthogonal,
    "identity": identity,
    "pytorch": pytorch,
}
"""Each function receives the weights among W, U, b and d that the cell uses, by name, in that order."""
