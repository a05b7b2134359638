"""The average of several checkpoints of a training run."""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor


def average_checkpoints(state_dicts: Sequence[Mapping[str, Tensor]]) -> dict[str, Tensor]:
    """Return the mean of each weight, summed in double precision.

    It is meant for the last or best checkpoints of one run. Networks of different runs make an ensemble instead.

    Args:
        state_dicts: the weights of each checkpoint; values that are not floating point are those of the last.

    Raises:
        ValueError: for no checkpoints, and for ones of different networks.
    """
    if not state_dicts:
        raise ValueError("there are no checkpoints to average")
    *_, last = state_dicts
    for number, state_dict in enumerate(state_dicts, start=1):
        for name in sorted(state_dict.keys() ^ last.keys()):
            raise ValueError(f"checkpoints of different networks: only one of numbers {number} and last has {name}")
        for name, tensor in last.items():
            if state_dict[name].shape != tensor.shape:
                raise ValueError(
                    f"checkpoints of different networks: {name} is {list(state_dict[name].shape)} in number {number} "
                    f"and {list(tensor.shape)} in the last"
                )
    averaged = {}
    for name, tensor in last.items():
        if tensor.is_floating_point():
            total = torch.zeros_like(tensor, dtype=torch.float64)
            for state_dict in state_dicts:
                total += state_dict[name].to(total)
            averaged[name] = (total / len(state_dicts)).to(tensor.dtype)
        else:
            averaged[name] = tensor.clone()
    return averaged
