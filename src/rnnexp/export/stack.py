"""Recurrent stacks that torch.export and torch.onnx can follow, with any batch and any number of steps."""

from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn.functional import linear

from rnnexp.compat.torch_scan import scan_over_time
from rnnexp.recurrent import Recurrence, RecurrentStack, State
from rnnexp.recurrent.layout import join_directions, make_mask
from rnnexp.recurrent.scan import Weights, with_zoneout

RunLayer = Callable[[RecurrentStack, Tensor, Tensor, State, Sequence[Weights]], tuple[Tensor, State]]
"""(stack, x [batch, time, features], lengths, state [directions, batch, hidden] each, weights of each direction) ->
outputs [batch, time, directions * hidden], zero past a sequence's end, and the final state"""


class TraceableStack(nn.Module):
    """A stack in evaluation mode without checks of values, and with a loop over time that is one operation.

    Args:
        stack: the stack.
        run_layer: runs one layer in all directions.
    """

    def __init__(self, stack: RecurrentStack, run_layer: RunLayer) -> None:
        super().__init__()
        self.stack, self.run_layer = stack, run_layer
        self.hidden_size, self.alters_outputs = stack.hidden_size, stack.alters_outputs

    def forward(self, x: Tensor, lengths: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Run over a batch of sequences. Arguments and results: see `RecurrentStack`."""
        stack = self.stack
        mask = make_mask(lengths, x)
        # Operations of torch.export must not get one tensor twice.
        initial = [tensor.clone() for tensor in stack.start(x, state)]
        finals = []
        for layer in range(stack.num_layers):
            rows = slice(layer * stack.directions, (layer + 1) * stack.directions)
            of_layer = tuple(tensor[rows] for tensor in initial)
            y, final = self.run_layer(stack, x, lengths, of_layer, stack.layer_weights(layer))
            if stack.norms:
                y = stack.norms[layer](y).masked_fill(~mask, 0)
            x = x + y if stack.residual and layer > 0 else y
            finals.append(final)
        joined = (torch.cat(tensors) for tensors in zip(*finals, strict=True))
        return x, tuple(join_directions(tensor, stack.directions) for tensor in joined)


def scan_layer(
    stack: RecurrentStack, x: Tensor, lengths: Tensor, state: State, weights: Sequence[Weights]
) -> tuple[Tensor, State]:
    """Run one layer of any cell by its equations, see `RunLayer`."""
    mask = make_mask(lengths, x)
    x = x.masked_fill(~mask, 0).transpose(0, 1)
    outputs, finals = [], []
    for direction, named in enumerate(weights):
        from_input = linear(x, named["weight_ih"], named.get("bias_ih")) if "weight_ih" in named else x
        first = tuple(tensor[direction] for tensor in state)
        advance = partial(_advance, stack, named)
        final, y = scan_over_time(advance, first, (from_input, mask.transpose(0, 1)), reverse=direction == 1)
        outputs.append(y.transpose(0, 1))
        finals.append(final)
    return torch.cat(outputs, dim=-1), tuple(torch.stack(tensors) for tensors in zip(*finals, strict=True))


def _advance(stack: RecurrentStack, named: Weights, state: State, at: tuple[Tensor, Tensor]) -> tuple[State, Tensor]:
    """Return the next state and the output of a step, of its input and whether the sequences still run."""
    cell, (x_t, runs) = stack.cell, at
    step = with_zoneout(cell.step, stack.zoneout, training=False) if any(stack.zoneout) else cell.step
    recur = Recurrence(named["weight_hh"], named.get("bias_hh")) if "weight_hh" in named else None
    proposed = step(x_t, state, recur, **{name: named[name] for name in cell.arguments})
    kept = tuple(torch.where(runs, new, old) for new, old in zip(proposed, state, strict=True))
    return kept, kept[0].masked_fill(~runs, 0)
