"""The two layouts of a state tensor: directions side by side, as the stack's users see it, or one below the other."""

from torch import Tensor


def split_directions(tensor: Tensor, directions: int) -> Tensor:
    """[layers, batch, directions * hidden] -> [layers * directions, batch, hidden], as torch's kernels take it."""
    layers, batch, _ = tensor.shape
    return tensor.reshape(layers, batch, directions, -1).transpose(1, 2).flatten(0, 1)


def join_directions(tensor: Tensor, directions: int) -> Tensor:
    """[layers * directions, batch, hidden] -> [layers, batch, directions * hidden], as its users want it."""
    _, batch, hidden = tensor.shape
    return tensor.reshape(-1, directions, batch, hidden).transpose(1, 2).flatten(2)
