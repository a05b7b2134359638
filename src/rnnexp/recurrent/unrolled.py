"""A stack run step by step with every step kept, so that what became of each can be asked afterwards.

Nothing imports this but who asks: the stack, the scan and the cells run as fast as without it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnexp.recurrent.cells import Recurrence, State
from rnnexp.recurrent.lengths import inside_mask
from rnnexp.recurrent.stack import RecurrentStack


class Step(NamedTuple):
    """One step of one direction of one layer; past a sequence's end its rows are of no account."""

    from_input: Tensor
    """W x_t + b, the blocks side by side [batch, gates * hidden]"""
    previous_h: Tensor
    """[batch, hidden]"""
    recur: Recurrence
    """h -> U h + d"""
    h: Tensor
    """[batch, hidden], the tensor itself that the next step and the outputs are computed from"""


class Unrolled:
    """The steps of one forward pass of a stack.

    Attributes:
        stack: that was run.
        inside: which steps belong to a sequence, bool [time, batch].
    """

    def __init__(self, stack: RecurrentStack) -> None:
        self.stack = stack
        self.inside = torch.ones(0, 0, dtype=torch.bool)
        self._cell_step = stack.cell.step
        self._steps: list[Step] = []

    def begin(self, _: object, arguments: tuple[Any, ...], options: Mapping[str, Any]) -> None:
        """A hook that runs before the stack: what was kept of another pass is forgotten."""
        x: Tensor = arguments[0]
        lengths = arguments[1] if len(arguments) > 1 else options.get("lengths")
        if lengths is None:
            lengths = torch.full((len(x),), x.shape[1])
        self._steps.clear()
        self.inside = inside_mask(lengths, x).squeeze(2).T

    def step(self, x: Tensor, state: State, recur: Recurrence) -> State:
        """The cell's step, which is kept."""
        proposed = self._cell_step(x, state, recur)
        self._steps.append(Step(x, state[0], recur, proposed[0]))
        return proposed

    def scan(self, layer: int, reverse: bool = False) -> list[Step]:
        """The steps of one layer in one direction, in the order of time, whichever way they were taken."""
        time = len(self.inside)
        first = (layer * self.stack.directions + reverse) * time
        steps = self._steps[first : first + time]
        return steps[::-1] if reverse else steps


@contextmanager
def unrolled(stack: RecurrentStack) -> Iterator[Unrolled]:
    """Within the block the stack computes its cell's equations in a loop, whatever its backend, and keeps each step.

    Of several forward passes the last is kept.
    """
    kept = Unrolled(stack)
    cell, kernel, layers_per_run = stack.cell, stack.kernel, stack.layers_per_run
    hook = stack.register_forward_pre_hook(kept.begin, with_kwargs=True)
    stack.cell, stack.kernel, stack.layers_per_run = replace(cell, step=kept.step), None, 1
    try:
        yield kept
    finally:
        stack.cell, stack.kernel, stack.layers_per_run = cell, kernel, layers_per_run
        hook.remove()
