"""The scan of a layer in parallel over time, for cells whose step is linear in h: h_t = a_t h_{t-1} + b_t.

Pairs of steps are one step of the same form, (a_2 a_1, a_2 b_1 + b_2), so half of the states follow from a scan of half
the length, and the other half from one step each (Blelloch, 1990; Martin & Cundy, 2018, arXiv:1709.04057).
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear

from rnnexp.recurrent.cells import Cell, State
from rnnexp.recurrent.scan import Weights

STEPS_IN_ORDER = 8
"""The number of steps up to which a scan runs step by step."""
NUMBERS_AT_ONCE = 2**19
"""On a CPU the sequences of a batch run in parts of about so many states, which stay in the cache."""


def scan_in_place(a: Tensor, b: Tensor, first: Tensor, out: Tensor, reverse: bool) -> None:
    """Write h_t = a_t h_{t-1} + b_t to `out`, in reverse h_t = a_t h_{t+1} + b_t.

    Args:
        a: [time, batch, hidden].
        b: [time, batch, hidden].
        first: h before the first step, [batch, hidden].
        out: [time, batch, hidden].
        reverse: whether the scan runs from the last step to the first.
    """
    time = len(a)
    if time <= STEPS_IN_ORDER:
        h = first
        for t in reversed(range(time)) if reverse else range(time):
            h = torch.addcmul(b[t], a[t], h, out=out[t])
        return
    # The earlier and the later step of each pair. Without a pair remains the last step, which is an earlier one.
    odd = time % 2
    earlier, later = slice(0, time - odd, 2), slice(1, time, 2)
    end, others, before = 0, slice(2, time, 2), slice(1, time - 1, 2)
    if reverse:
        earlier, later = slice(1 + odd, time, 2), slice(odd, time - 1, 2)
        end, others, before = time - 1, slice(1 - odd, time - 2, 2), slice(2 - odd, time - 1, 2)
    scan_in_place(a[later] * a[earlier], torch.addcmul(b[later], a[later], b[earlier]), first, out[later], reverse)
    torch.addcmul(b[end], a[end], first, out=out[end])
    torch.addcmul(b[others], a[others], out[before], out=out[others])


class LinearScan(torch.autograd.Function):
    """The states of a scan. The arguments are those of `scan_in_place`, and the result is what it writes."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, first: Tensor, reverse: bool) -> Tensor:  # noqa: ANN401
        out = torch.empty_like(b)
        scan_in_place(a, b, first, out, reverse)
        ctx.save_for_backward(a, first, out)
        ctx.reverse = reverse
        return out

    @staticmethod
    def backward(ctx: Any, by_states: Tensor) -> tuple[Tensor, Tensor, Tensor, None]:  # noqa: ANN401
        """Return the gradients. That by b is a scan of that by the states, in the other direction."""
        a, first, states = ctx.saved_tensors
        start, end = (-1, 0) if ctx.reverse else (0, -1)  # the first and last step
        after, before = (slice(-1), slice(1, None)) if ctx.reverse else (slice(1, None), slice(-1))
        if torch.is_grad_enabled():  # the gradients will be differentiated
            others = by_states[before]
            if len(others):
                others = LinearScan.apply(a[after], others, by_states[end], not ctx.reverse)
            order = -1 if ctx.reverse else 1
            by_b = torch.cat([others, by_states[end].unsqueeze(0)][::order])
            previous = torch.cat([first.unsqueeze(0), states[before]][::order])
            return by_b * previous, by_b, by_b[start] * a[start], None
        by_a, by_b = torch.empty_like(a), torch.empty_like(a)
        by_b[end] = by_states[end]
        scan_in_place(a[after], by_states[before], by_states[end], by_b[before], not ctx.reverse)
        by_a[start] = by_b[start] * first
        torch.mul(by_b[after], states[before], out=by_a[after])
        return by_a, by_b, by_b[start] * a[start], None


def run_parallel(
    cell: Cell, x: Tensor, mask: Tensor | None, state: State, weights: Sequence[Weights]
) -> tuple[Tensor, State]:
    """Run one layer in one or both directions. Arguments and results are those of `scan_layer`."""
    batch, time, _ = x.shape
    if x.is_cuda:
        return _run_part(cell, x, mask, state[0], weights)
    size = max(1, NUMBERS_AT_ONCE // (time * state[0].shape[2]))
    parts = [slice(start, start + size) for start in range(0, batch, size)]
    results = [
        _run_part(cell, x[part], None if mask is None else mask[part], state[0][:, part], weights) for part in parts
    ]
    if len(results) == 1:
        return results[0]
    return torch.cat([y for y, _ in results]), (torch.cat([final for _, (final,) in results], dim=1),)


def _run_part(
    cell: Cell, x: Tensor, mask: Tensor | None, state: Tensor, weights: Sequence[Weights]
) -> tuple[Tensor, State]:
    """Run some sequences of the batch."""
    assert cell.coefficients is not None
    if mask is not None:
        x = x.masked_fill(~mask, 0)
        mask = mask.transpose(0, 1)
    x = x.transpose(0, 1)
    outputs, finals = [], []
    for direction, (named, first) in enumerate(zip(weights, state, strict=True)):
        a, b = cell.coefficients(linear(x, named["weight_ih"], named.get("bias_ih")))
        a, b = a.to(first.dtype), b.to(first.dtype)
        if mask is not None:
            a, b = a.masked_fill(~mask, 1), b.masked_fill(~mask, 0)  # past the end h is kept
        states = LinearScan.apply(a, b, first, direction == 1)
        finals.append(states[0 if direction == 1 else -1])
        outputs.append(states if mask is None else states.masked_fill(~mask, 0))
    y = outputs[0] if len(outputs) == 1 else torch.cat(outputs, dim=-1)
    return y.transpose(0, 1), (torch.stack(finals),)
