"""The scan of a cell over time as a plain loop, which is the reference for the fused kernels."""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from rnnexp.recurrent.cells import Cell, CellFunction, Recurrence, State
from rnnexp.recurrent.layout import make_mask

Weights = Mapping[str, Any]
"""The weights of one layer in one direction, by name without the layer: `weight_ih`; or its `module`."""


def scan(
    step: CellFunction, x: Tensor, recur: Recurrence | None, state: State, mask: Tensor | None, reverse: bool
) -> tuple[Tensor, State]:
    """Run one direction of one layer.

    Past the end of a sequence its outputs are zero and its state is kept. In reverse the padding comes first and has no
    effect: each sequence starts at its last step.

    Args:
        step: the equations of the cell.
        x: the input half of the pre-activations [time, batch, gates * hidden].
        recur: the recurrent half; None for a cell without U.
        state: the initial state, [batch, hidden] each.
        mask: True at steps of a sequence, bool [time, batch, 1]; None if all are.
        reverse: whether the scan runs from the last step to the first.

    Returns:
        Outputs [batch, time, hidden] and the final state, [batch, hidden] each.
    """
    outputs: list[Tensor] = [x] * len(x)
    inputs = x.unbind()  # one backward for all steps; each x[t] would allocate a gradient of the size of x
    for t in reversed(range(len(x))) if reverse else range(len(x)):
        proposed = step(inputs[t], state, recur)
        if mask is None:
            state = proposed
            outputs[t] = state[0]
        else:
            state = tuple(torch.where(mask[t], new, old) for new, old in zip(proposed, state, strict=True))
            outputs[t] = state[0].masked_fill(~mask[t], 0)
    return torch.stack(outputs, dim=1), state


def differentiable_gradients(
    results: Sequence[Tensor], inputs: Sequence[Tensor], by_results: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Return the gradient by each input, which can be differentiated; None for an input that needs none.

    Args:
        results: tensors that autograd computed from the inputs.
        inputs: the inputs.
        by_results: the gradient by each result; None for zeros.
    """
    used = [pair for pair in zip(results, by_results, strict=True) if pair[1] is not None]
    found = torch.autograd.grad(
        [result for result, _ in used],
        [tensor for tensor in inputs if tensor.requires_grad],
        [gradient for _, gradient in used],
        create_graph=True,
    )
    remaining = iter(found)
    return [next(remaining) if tensor.requires_grad else None for tensor in inputs]


def with_zoneout(step: CellFunction, probabilities: Sequence[float], training: bool) -> CellFunction:
    """Return a step with zoneout: numbers of the state keep their old values (Krueger et al., 2017, arXiv:1606.01305).

    In training each number is kept at random; otherwise the new state is the mean over these choices.

    Args:
        step: the equations of the cell.
        probabilities: that of keeping a number, for each tensor of the state.
        training: whether numbers are kept at random.
    """

    def zoned(x: Tensor, state: State, recur: Recurrence | None, **arguments: Any) -> State:  # noqa: ANN401
        proposed = step(x, state, recur, **arguments)
        return tuple(map(keep, proposed, state, probabilities))

    def keep(new: Tensor, old: Tensor, probability: float) -> Tensor:
        if probability == 0:
            return new
        if training:
            # In bfloat16 a small probability would be rounded up to a multiple of 1/256.
            return torch.where(torch.rand(new.shape, device=new.device) < probability, old, new)
        return probability * old + (1 - probability) * new

    return zoned


class RecordedStep(NamedTuple):
    """A step of one direction of one layer. Rows past the end of a sequence have no meaning."""

    from_input: Tensor
    """W x_t + b, the blocks side by side [batch, gates * hidden]; x_t for a cell with a module"""
    previous_h: Tensor
    """[batch, hidden]"""
    recur: Recurrence | None
    """h -> U h + d; None for a cell without U"""
    h: Tensor
    """[batch, hidden], the tensor from which the next step and the outputs are computed"""


class StepRecorder:
    """The steps of the last forward pass of a stack. See `rnnexp.recurrent.gradient_flow.recorded`.

    Args:
        directions: the directions of the stack, 1 or 2.

    Attributes:
        mask: True at steps of a sequence, bool [time, batch].
    """

    def __init__(self, directions: int) -> None:
        self.directions = directions
        self.mask = torch.ones(0, 0, dtype=torch.bool)
        self._steps: list[RecordedStep] = []

    def start(self, x: Tensor, lengths: Tensor | None) -> None:
        """Start a new pass, and discard the steps of an earlier one."""
        self._steps.clear()
        lengths = torch.full((len(x),), x.shape[1]) if lengths is None else lengths
        self.mask = make_mask(lengths, x).squeeze(2).T

    def recording(self, step: CellFunction) -> CellFunction:
        """Return a function that calls a step and records it."""

        def recorded(x: Tensor, state: State, recur: Recurrence | None, **arguments: Any) -> State:  # noqa: ANN401
            proposed = step(x, state, recur, **arguments)
            self._steps.append(RecordedStep(x, state[0], recur, proposed[0]))
            return proposed

        return recorded

    def scan(self, layer: int, reverse: bool = False) -> list[RecordedStep]:
        """Return the steps of one layer in one direction, in the order of time for both directions."""
        time = len(self.mask)
        first = (layer * self.directions + reverse) * time
        steps = self._steps[first : first + time]
        return steps[::-1] if reverse else steps


def scan_layer(
    cell: Cell,
    x: Tensor,
    mask: Tensor | None,
    state: State,
    weights: Sequence[Weights],
    wrappers: Sequence[Callable[[CellFunction], CellFunction]] = (),
) -> tuple[Tensor, State]:
    """Run one layer in one or both directions.

    Args:
        cell: the cell.
        x: [batch, time, features].
        mask: True at steps of a sequence, bool [batch, time, 1]; None if all are.
        state: the initial state, [directions, batch, hidden] each.
        weights: the weights of each direction.
        wrappers: functions that return a changed step, each of that of the one before.

    Returns:
        Outputs [batch, time, directions * hidden] and the final state, [directions, batch, hidden] each.
    """
    if mask is not None:
        x = x.masked_fill(~mask, 0)  # infinities in the padding would cause NaN gradients
        mask = mask.transpose(0, 1)
    x = x.transpose(0, 1)
    step = cell.step
    for wrap in wrappers:
        step = wrap(step)
    outputs, finals = [], []
    for direction, named in enumerate(weights):
        initial = tuple(tensor[direction] for tensor in state)
        from_input = linear(x, named["weight_ih"], named.get("bias_ih")) if "weight_ih" in named else x
        recur = Recurrence(named["weight_hh"], named.get("bias_hh")) if "weight_hh" in named else None
        with_arguments = partial(step, **{name: named[name] for name in cell.arguments}) if cell.arguments else step
        y, final = scan(with_arguments, from_input, recur, initial, mask, reverse=direction == 1)
        outputs.append(y)
        finals.append(final)
    return torch.cat(outputs, dim=-1), tuple(torch.stack(tensors) for tensors in zip(*finals, strict=True))
