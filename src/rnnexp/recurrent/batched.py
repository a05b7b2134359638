"""The scan of a layer as one autograd function, for cells with a step written by hand.

Autograd records every operation of every step, and adds one gradient of U per step. Two facts save that work:

1. The diagonals of a step's Jacobian depend on the forward pass alone, so they are computed for many steps at once. In
   order of time remain, per step, the products with the gradient of h and one product with U.
2. No step needs the gradient of a weight. That of U is one product over [time * batch], as are those of W and x.

Rows are those of torch's PackedSequence: step by step, the longest sequences first, so that only sequences that still
run are computed. Both passes work on chunks of `ROWS_AT_ONCE` rows, which stay in the cache.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence

from rnnexp.recurrent.cells import Cell, Recurrence, State
from rnnexp.recurrent.scan import differentiable_gradients

ROWS_AT_ONCE = 2048
"""The number of rows whose diagonals are computed together."""

Gradients = tuple[Tensor | None, ...]


class Chunk(NamedTuple):
    """Some consecutive steps."""

    steps: range
    rows: slice
    """The rows of the steps."""
    sizes: list[int]
    """The number of rows of each step."""
    sizes_before: list[int]
    """The number of rows of the step before each; before the first step, the size of the batch."""

    def by_step(self, parts: Sequence[Tensor]) -> Iterator[tuple[Tensor, ...]]:
        """Return the parts of each step, from tensors [rows of the chunk, ...]."""
        return zip(*(torch.split(part, self.sizes) for part in parts), strict=True)


class Rows:
    """The rows of a packed batch.

    Args:
        sizes: the number of sequences that run at each step.

    Attributes:
        starts: the first row of each step, and the number of all rows.
        chunks: in the order of time.
    """

    def __init__(self, sizes: list[int]) -> None:
        self.sizes = sizes
        self.starts = [0, *accumulate(sizes)]
        bounds = [*range(0, len(sizes), max(1, ROWS_AT_ONCE // sizes[0])), len(sizes)]
        before = [sizes[0], *sizes]
        self.chunks = [
            Chunk(range(a, b), slice(self.starts[a], self.starts[b]), sizes[a:b], before[a:b])
            for a, b in pairwise(bounds)
        ]

    def ended(self, t: int) -> slice:
        """Return the rows of step t, counted from its first, whose sequences end there."""
        return slice(self.sizes[t + 1] if t + 1 < len(self.sizes) else 0, self.sizes[t])

    def reversal(self) -> Tensor:
        """Return the index of the rows with each sequence in reverse, int64 [rows]."""
        sizes, starts = torch.tensor(self.sizes), torch.tensor(self.starts)
        steps = torch.arange(len(sizes)).repeat_interleave(sizes)
        sequences = torch.arange(self.starts[-1]) - starts[steps]
        lengths = (sizes > torch.arange(self.sizes[0]).unsqueeze(1)).sum(1)
        return starts[lengths[sequences] - 1 - steps] + sequences


class BatchedScan(torch.autograd.Function):
    """One direction of one layer.

    The arguments are the cell, the rows, whether a backward pass may follow, x [rows, features], W, U, b, d, and the
    first h [batch, hidden]. The results are h after each step [rows, hidden], and after the last step of each sequence.
    """

    @staticmethod
    def forward(ctx: Any, cell: Cell, rows: Rows, keep: bool, *tensors: Tensor) -> tuple[Tensor, Tensor]:  # noqa: ANN401
        x, weight_ih, weight_hh, bias_ih, bias_hh, first = tensors
        step = cell.batched
        assert step is not None
        batch, hidden_size = first.shape
        states = x.new_empty(batch + len(x), hidden_size)
        states[:batch] = first
        by_step = torch.split(states, [batch, *rows.sizes])
        blocks = [block.t().contiguous() for block in step.blocks(weight_hh)]
        kept: list[Tensor] = []
        for chunk in rows.chunks:
            activations = step.project(x[chunk.rows], weight_ih, bias_ih, bias_hh)
            for t, parts in zip(chunk.steps, chunk.by_step(step.split(activations, hidden_size)), strict=True):
                step.advance(parts, by_step[t][: rows.sizes[t]], blocks, by_step[t + 1])
            if keep:
                kept.append(activations)
        ctx.cell, ctx.rows = cell, rows
        ctx.save_for_backward(*tensors, states, *kept)
        ctx.set_materialize_grads(False)
        ends = [h[rows.ended(t)] for t, h in enumerate(by_step[1:])]
        return states[batch:], torch.cat(ends[::-1])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor | None) -> Gradients:  # noqa: ANN401
        x, weight_ih, weight_hh, bias_ih, bias_hh, first, states, *kept = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradients will be differentiated
            return None, None, None, *_gradients_by_autograd(ctx, gradients)
        step, rows = ctx.cell.batched, ctx.rows
        by_outputs, by_final = gradients
        batch, hidden_size = first.shape
        blocks = step.blocks(weight_hh)
        by_x = torch.empty_like(x) if ctx.needs_input_grad[3] else None
        by_weights = [torch.zeros_like(weight) for weight in (weight_ih, weight_hh, bias_ih, bias_hh)]
        by_weight_ih, by_weight_hh, by_bias_ih, by_bias_hh = by_weights
        by_blocks = step.blocks(by_weight_hh)
        later: Tensor | None = None  # the gradient by the last h of the chunk, from the steps after the chunk
        for chunk, activations in zip(rows.chunks[::-1], kept[::-1], strict=True):
            h = _before(states, rows, chunk)
            diagonals = step.linearize(activations, h, states[batch:][chunk.rows])
            delta = x.new_empty(len(h), len(weight_hh))
            front = chunk.sizes_before[0]  # rows of h before the chunk
            by_states = x.new_zeros(front + len(h), hidden_size)
            by_h = torch.split(by_states, [front, *chunk.sizes])
            if by_outputs is not None:
                by_states[front:] = by_outputs[chunk.rows]
            if later is not None:
                by_h[-1][: len(later)] += later
            walk = zip(chunk.steps, chunk.by_step([*diagonals, delta]), by_h[1:], by_h[:-1], strict=True)
            for t, (*parts, by_recurrent), by_after, by_before in reversed(list(walk)):
                if by_final is not None:
                    by_after[rows.ended(t)] += by_final[rows.ended(t)]
                step.pull_back(parts, by_after, blocks, by_recurrent, by_before[: rows.sizes[t]])
            later = by_h[0]
            by_products = torch.split(delta, [len(block) for block in blocks], dim=1)
            for block, by_product, factor in zip(by_blocks, by_products, step.factors(activations, h), strict=True):
                block.addmm_(by_product.t(), factor)
            by_bias_hh += delta.sum(0)
            delta = step.to_input(diagonals, by_states[front:], delta)
            by_weight_ih.addmm_(delta.t(), x[chunk.rows])
            by_bias_ih += delta.sum(0)
            if by_x is not None:
                torch.mm(delta, weight_ih, out=by_x[chunk.rows])
        return None, None, None, by_x, *by_weights, later


def _before(states: Tensor, rows: Rows, chunk: Chunk) -> Tensor:
    """Return h before each row of a chunk, from the first h and all others [batch + rows, hidden]."""
    first = chunk.steps[0]
    start = rows.sizes[0] + rows.starts[first - 1] if first else 0
    if chunk.sizes_before == chunk.sizes:
        return states[start : start + sum(chunk.sizes)]
    by_step = torch.split(states[start : start + sum(chunk.sizes_before)], chunk.sizes_before)
    return torch.cat([h[:size] for h, size in zip(by_step, chunk.sizes, strict=True)])


def _gradients_by_autograd(ctx: Any, gradients: Sequence[Tensor | None]) -> Gradients:  # noqa: ANN401
    """Return gradients that can be differentiated, of the equations in a loop."""
    x, weight_ih, weight_hh, bias_ih, bias_hh, first = inputs = ctx.saved_tensors[:6]
    recur, h = Recurrence(weight_hh, bias_hh), first
    outputs, ends = [], []
    for t, from_input in enumerate(torch.split(linear(x, weight_ih, bias_ih), ctx.rows.sizes)):
        (h,) = ctx.cell.step(from_input, (h[: len(from_input)],), recur)
        outputs.append(h)
        ends.append(h[ctx.rows.ended(t)])
    results = torch.cat(outputs), torch.cat(ends[::-1])
    return tuple(differentiable_gradients(results, inputs, gradients))


def run_batched(
    cell: Cell, x: Tensor, lengths: Tensor | None, state: State, weights: Sequence[Sequence[Tensor]]
) -> tuple[Tensor, State]:
    """Run one layer in one or both directions.

    Args:
        cell: a cell with a batched step.
        x: [batch, time, features].
        lengths: int64 [batch] on the CPU; None if every sequence has all steps.
        state: the initial state, (h [directions, batch, hidden],).
        weights: weight_ih, weight_hh, bias_ih, bias_hh of each direction.

    Returns:
        Outputs [batch, time, directions * hidden], zero past each sequence's end, and the final state, with the shape
        of the initial one.
    """
    (h,) = state
    batch, time, features = x.shape
    if lengths is None:
        packed = PackedSequence(x.transpose(0, 1).reshape(-1, features), torch.full((time,), batch))
    else:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        assert packed.sorted_indices is not None
        h = h.index_select(1, packed.sorted_indices)
    rows = Rows(packed.batch_sizes.tolist())
    everything = [x, h, *(weight for named in weights for weight in named)]
    keep = torch.is_grad_enabled() and any(tensor.requires_grad for tensor in everything)
    run: Callable[..., tuple[Tensor, Tensor]] = BatchedScan.apply
    outputs, final = run(cell, rows, keep, packed.data, *weights[0], h[0])
    finals = [final]
    if len(weights) == 2:
        index = rows.reversal().to(x.device)
        backward, final = run(cell, rows, keep, packed.data.index_select(0, index), *weights[1], h[1])
        outputs = torch.cat([outputs, backward.index_select(0, index)], dim=1)
        finals.append(final)
    final = torch.stack(finals)
    if lengths is None:
        return outputs.view(time, batch, -1).transpose(0, 1), (final,)
    padded, _ = pad_packed_sequence(packed._replace(data=outputs), batch_first=True, total_length=time)
    assert packed.unsorted_indices is not None
    return padded, (final.index_select(1, packed.unsorted_indices),)
