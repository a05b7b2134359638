"""A cell run over time, as a plain loop: slow, readable, and what the fused kernels are tested against."""

from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn.functional import linear

from rnnexp.recurrent.cells import Cell, Recurrence, State, Step


def scan(
    step: Step, x: Tensor, recur: Recurrence, state: State, inside: Tensor | None, reverse: bool
) -> tuple[Tensor, State]:
    """One direction of one layer.

    Past its end a sequence emits zeros and holds its state. Backwards, the padding therefore comes first and changes
    nothing: each sequence starts at its own last step.

    Args:
        step: the cell.
        x: the input half of the pre-activations [time, batch, gates * hidden].
        recur: the recurrent half.
        state: before the first step, [batch, hidden] each.
        inside: which steps belong to a sequence [time, batch, 1]; None if all do.
        reverse: from the last step to the first.

    Returns:
        outputs [batch, time, hidden] and the state after the last step, [batch, hidden] each.
    """
    outputs: list[Tensor] = [x] * len(x)
    inputs = x.unbind()  # one backward for all steps; x[t] would cost a gradient of the whole of x at each
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        proposed = step(inputs[t], state, recur)
        if inside is None:
            state = proposed
            outputs[t] = state[0]
        else:
            state = tuple(torch.where(inside[t], new, old) for new, old in zip(proposed, state, strict=True))
            outputs[t] = state[0].masked_fill(~inside[t], 0)
    return torch.stack(outputs, dim=1), state


def scan_layer(
    cell: Cell, x: Tensor, inside: Tensor | None, state: State, weights: Sequence[Tensor]
) -> tuple[Tensor, State]:
    """One layer in one or both directions.

    Args:
        cell: the recurrence.
        x: [batch, time, features].
        inside: which steps belong to a sequence [batch, time, 1]; None if all do.
        state: before the first step, [directions, batch, hidden] each.
        weights: weight_ih, weight_hh, bias_ih, bias_hh of each direction.

    Returns:
        outputs [batch, time, directions * hidden] and the final state, [directions, batch, hidden] each.
    """
    if inside is not None:
        x = x.masked_fill(~inside, 0)  # infinities in the padding would come back as NaN gradients
        inside = inside.transpose(0, 1)
    x = x.transpose(0, 1)
    outputs, finals = [], []
    for direction in range(len(weights) // 4):
        weight_ih, weight_hh, bias_ih, bias_hh = weights[4 * direction : 4 * direction + 4]
        start = tuple(tensor[direction] for tensor in state)
        from_input = linear(x, weight_ih, bias_ih)
        y, final = scan(cell.step, from_input, Recurrence(weight_hh, bias_hh), start, inside, reverse=direction == 1)
        outputs.append(y)
        finals.append(final)
    return torch.cat(outputs, dim=-1), tuple(torch.stack(tensors) for tensors in zip(*finals, strict=True))
