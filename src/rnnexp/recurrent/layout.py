"""Masks of padded batches, and the two layouts of a state with directions."""

import torch
from torch import Tensor


def check_lengths(lengths: Tensor, x: Tensor) -> None:
    """Raise ValueError unless lengths is int64 [batch] on the CPU, each from 1 to the time of x [batch, time, ...]."""
    batch, time = x.shape[:2]
    if lengths.shape != (batch,) or lengths.dtype != torch.int64 or lengths.device.type != "cpu":
        found = f"{lengths.dtype} {list(lengths.shape)} on {lengths.device}"
        raise ValueError(f"lengths must be a torch.int64 tensor [{batch}] on the CPU, not {found}")
    shortest, longest = lengths.min().item(), lengths.max().item()
    if shortest < 1 or longest > time:
        raise ValueError(f"lengths must lie between 1 and the {time} steps of x, not between {shortest} and {longest}")


def make_mask(lengths: Tensor, x: Tensor) -> Tensor:
    """Return the mask of the steps of sequences, bool [batch, time, 1], on the device of x [batch, time, ...]."""
    return (torch.arange(x.shape[1]) < lengths.unsqueeze(1)).unsqueeze(2).to(x.device, non_blocking=True)


def split_directions(tensor: Tensor, directions: int) -> Tensor:
    """Return a state tensor in the layout of the kernels of torch.

    Args:
        tensor: [layers, batch, directions * hidden].
        directions: 1 or 2.

    Returns:
        [layers * directions, batch, hidden].
    """
    layers, batch, _ = tensor.shape
    return tensor.reshape(layers, batch, directions, -1).transpose(1, 2).flatten(0, 1)


def join_directions(tensor: Tensor, directions: int) -> Tensor:
    """Return a state tensor in the layout of a stack.

    Args:
        tensor: [layers * directions, batch, hidden].
        directions: 1 or 2.

    Returns:
        [layers, batch, directions * hidden].
    """
    _, batch, hidden = tensor.shape
    return tensor.reshape(-1, directions, batch, hidden).transpose(1, 2).flatten(2)
