"""The steps of a decoder with input feeding as one autograd function, for cells with a step written by hand.

Autograd records every operation of every step, and adds one gradient of each weight per step. Here, as in
`rnnexp.recurrent.batched`, only what depends on the step before runs in order of time. The products with the
embeddings, the diagonals of the cells, and the gradients of weights and annotations are computed for all steps at once.
"""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import linear

from rnnexp.models.attention import AdditiveAttention
from rnnexp.models.batched_attention import AdditiveScores
from rnnexp.recurrent import Cell, Recurrence
from rnnexp.recurrent.batched_steps import Parts
from rnnexp.recurrent.scan import differentiable_gradients

_tanh_backward = torch.ops.aten.tanh_backward.grad_input  # (gradient, tanh(a)) -> gradient * tanh'(a)


class Inputs(NamedTuple):
    """The tensors that may need a gradient."""

    embedded: Tensor
    """[time, batch, embedding]"""
    feed: Tensor
    """The pre-output before the first step, [batch, embedding]"""
    keys: Tensor
    annotations: Tensor
    states: Sequence[Tensor]
    """h of each layer before the first step, [batch, hidden]"""
    layers: Sequence[Sequence[Tensor]]
    """W, U, b and d of each layer"""
    scoring: Sequence[Tensor]
    """W and v of additive attention"""
    deep: Sequence[Tensor]
    """Weight and bias of the deep output"""

    def flat(self) -> list[Tensor]:
        """Return all tensors."""
        weights = [weight for layer in self.layers for weight in layer]
        return [*self[:4], *self.states, *weights, *self.scoring, *self.deep]

    @classmethod
    def of(cls, tensors: Sequence[Tensor], num_layers: int) -> "Inputs":
        """Return the inputs from all tensors."""
        embedded, feed, keys, annotations, *rest = tensors
        weights = rest[num_layers:-4]
        layers = [weights[first : first + 4] for first in range(0, len(weights), 4)]
        return cls(embedded, feed, keys, annotations, rest[:num_layers], layers, rest[-4:-2], rest[-2:])


class Layer:
    """One layer. W multiplies what is known before the first step, side by side with what each step feeds.

    Args:
        cell: one with a batched step.
        weights: W, U, b and d.
        known: [rows, features].
        states: h before the first step, and room for h after each, [time + 1, batch, hidden].
        activations: those of all steps, from an earlier forward pass; None for a new one.
    """

    def __init__(
        self, cell: Cell, weights: Sequence[Tensor], known: Tensor, states: Tensor, activations: Tensor | None
    ) -> None:
        weight, self.weight_hh, *biases = weights
        assert cell.batched is not None
        self.step, self.known, self.states = cell.batched, known, states
        self.known_weight, self.fed_weight = weight[:, : known.shape[1]], weight[:, known.shape[1] :]
        self.activations = self.step.project(known, self.known_weight, *biases) if activations is None else activations
        self.before, self.after = states[:-1].flatten(0, 1), states[1:].flatten(0, 1)

    def _by_step(self, parts: Parts) -> list[Parts]:
        return list(zip(*(part.chunk(len(self.states) - 1) for part in parts), strict=True))

    def start(self) -> None:
        """Prepare the forward pass."""
        self._parts = self._by_step(self.step.split(self.activations, self.states.shape[2]))
        self._blocks: Parts = [block.t().contiguous() for block in self.step.blocks(self.weight_hh)]
        self._fed_block = self.fed_weight.t().contiguous()

    def advance(self, t: int, fed: Tensor) -> Tensor:
        """Take step t, and return h after it."""
        self.step.feed(self._parts[t], fed, self._fed_block)
        self.step.advance(self._parts[t], self.states[t], self._blocks, self.states[t + 1])
        return self.states[t + 1]

    def start_backward(self) -> Tensor:
        """Prepare the backward pass. Return zeros for the gradient by h after each step, to which the network adds."""
        self._delta = self.states.new_empty(len(self.known), len(self.weight_hh))
        diagonals = self.step.linearize(self.activations, self.before, self.after)
        self._parts = self._by_step([*diagonals, self._delta])
        self._blocks = self.step.blocks(self.weight_hh)
        self.by_states = torch.zeros_like(self.states)
        return self.by_states[1:]

    def pull_back(self, t: int, by_fed: Tensor) -> None:
        """Go back over step t, and add the gradient by what it was fed to `by_fed`."""
        *diagonals, delta = self._parts[t]
        self.step.pull_back(diagonals, self.by_states[t + 1], self._blocks, delta, self.by_states[t])
        by_fed.addmm_(self.step.to_input(diagonals, self.by_states[t + 1], delta), self.fed_weight)

    def gradients(self, fed: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Return the gradients by `known`, and by W, U, b and d, for what all steps were fed [rows, features]."""
        delta = self._delta
        by_known, by_bias = delta @ self.known_weight, delta.sum(0)
        by_weight = torch.cat([delta.t() @ self.known, delta.t() @ fed], dim=1)
        delta = self.step.to_recurrent(self.activations, delta)
        by_products = torch.split(delta, [len(block) for block in self._blocks], dim=1)
        factors = self.step.factors(self.activations, self.before)
        by_blocks = [by.t() @ factor for by, factor in zip(by_products, factors, strict=True)]
        return by_known, [by_weight, torch.cat(by_blocks), by_bias, delta.sum(0)]


class BatchedSteps(torch.autograd.Function):
    """All steps of a decoder.

    The arguments are the cells, the attention, the mask of the source, and `Inputs.flat`. The results are the
    pre-outputs [time, batch, embedding] and the attention weights [time, batch, source_time].
    """

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        cells: Sequence[Cell],
        attention: AdditiveAttention,
        mask: Tensor,
        *tensors: Tensor,
    ) -> tuple[Tensor, Tensor]:
        inputs = Inputs.of(tensors, len(cells))
        embedded, annotations, (weight, bias) = inputs.embedded, inputs.annotations, inputs.deep
        time, padding, scores = len(embedded), ~mask, AdditiveScores(inputs.keys, *inputs.scoring)
        states = []
        for h in inputs.states:
            states.append(h.new_empty(time + 1, *h.shape))
            states[-1][0] = h
        layers = _layers(cells, inputs, states, [None] * len(cells))
        for layer in layers:
            layer.start()
        sizes = [states[-1].shape[2], embedded.shape[2], annotations.shape[2]]
        of_h, of_embedded, of_context = torch.split(weight.t().contiguous(), sizes)
        from_embedded = torch.addmm(bias, layers[0].known, of_embedded).view_as(embedded)
        of_query = inputs.scoring[0].t()
        pre_outputs = torch.cat([inputs.feed.unsqueeze(0), from_embedded])
        weights = embedded.new_empty(time, *mask.shape)
        contexts = embedded.new_empty(time, len(mask), sizes[2])
        for t in range(time):
            h = pre_outputs[t]
            for layer in layers:
                h = layer.advance(t, h)
            masked = scores.score(h @ of_query).masked_fill_(padding, -torch.inf)
            torch.softmax(masked, dim=1, out=weights[t])
            torch.bmm(weights[t].unsqueeze(1), annotations, out=contexts[t].unsqueeze(1))
            pre_outputs[t + 1].addmm_(h, of_h).addmm_(contexts[t], of_context).tanh_()
        ctx.cells, ctx.attention = cells, attention
        activations = [layer.activations for layer in layers]
        ctx.save_for_backward(mask, *tensors, *states, *activations, pre_outputs, weights, contexts)
        ctx.set_materialize_grads(False)
        return pre_outputs[1:], weights

    @staticmethod
    def backward(ctx: Any, *by_results: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        cells, attention, num_layers = ctx.cells, ctx.attention, len(ctx.cells)
        mask, *saved = ctx.saved_tensors
        tensors, buffers = saved[: -2 * num_layers - 3], saved[-2 * num_layers - 3 :]
        if torch.is_grad_enabled():  # the gradients will be differentiated
            tensors = [tensor.view_as(tensor) for tensor in tensors]  # the keys depend on the annotations
            results = _steps_by_autograd(cells, attention, mask, Inputs.of(tensors, num_layers))
            return None, None, None, *differentiable_gradients(results, tensors, by_results)
        inputs = Inputs.of(tensors, num_layers)
        states, activations, results = buffers[:num_layers], buffers[num_layers:-3], buffers[-3:]
        layers, scores = _layers(cells, inputs, states, activations), AdditiveScores(inputs.keys, *inputs.scoring)
        by_fed, *by_steps = _walk_back(inputs, layers, scores, results, by_results)
        deltas, by_contexts, by_scores = by_steps
        pre_outputs, weights, contexts = results
        fed = [pre_outputs[:-1].flatten(0, 1), *(layer.after for layer in layers)]
        by_known, by_layers = zip(*(layer.gradients(x) for layer, x in zip(layers, fed, strict=False)), strict=True)
        by_keys, by_scoring = scores.gradients(by_scores)
        factors, delta = (fed[-1], layers[0].known, contexts.flatten(0, 1)), deltas.flatten(0, 1)
        of_embedded = torch.split(inputs.deep[0], [factor.shape[1] for factor in factors], dim=1)[1]
        by_inputs = Inputs(
            (by_known[0] + delta @ of_embedded).view_as(inputs.embedded),
            by_fed[0],
            by_keys,
            torch.bmm(weights.permute(1, 2, 0), by_contexts.transpose(0, 1)),
            [layer.by_states[0] for layer in layers],
            by_layers,
            by_scoring,
            [torch.cat([delta.t() @ factor for factor in factors], dim=1), delta.sum(0)],
        )
        return None, None, None, *by_inputs.flat()


def _layers(
    cells: Sequence[Cell], inputs: Inputs, states: Sequence[Tensor], activations: Sequence[Tensor | None]
) -> list[Layer]:
    """Return the layers. The bottom one knows the embeddings, the others are only fed h of the layer below."""
    embedded = inputs.embedded.flatten(0, 1)
    known = [embedded, *(embedded[:, :0] for _ in cells[1:])]
    return [Layer(*row) for row in zip(cells, inputs.layers, known, states, activations, strict=True)]


def _walk_back(
    inputs: Inputs,
    layers: Sequence[Layer],
    scores: AdditiveScores,
    results: Sequence[Tensor],
    by_results: Sequence[Tensor | None],
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Go back over all steps.

    Returns:
        The gradients by the pre-outputs [time + 1, ...], by their arguments of tanh, contexts and scores [time, ...].
    """
    pre_outputs, weights, contexts = results
    by_outputs, by_weights = by_results
    by_fed = torch.zeros_like(pre_outputs)
    if by_outputs is not None:
        by_fed[1:] = by_outputs
    deltas, by_contexts, by_scores = (torch.empty_like(each) for each in (by_fed[1:], contexts, weights))
    by_h = [layer.start_backward() for layer in layers]
    sizes = [by_h[-1].shape[2], pre_outputs.shape[2], contexts.shape[2]]
    of_h, _, of_context = torch.split(inputs.deep[0], sizes, dim=1)
    scores.start_backward(layers[-1].states[1:])
    for t in reversed(range(len(weights))):
        _tanh_backward(by_fed[t + 1], pre_outputs[t + 1], grad_input=deltas[t])
        by_h[-1][t].addmm_(deltas[t], of_h)
        torch.mm(deltas[t], of_context, out=by_contexts[t])
        by_weight = torch.bmm(inputs.annotations, by_contexts[t].unsqueeze(2)).squeeze(2)
        if by_weights is not None:
            by_weight += by_weights[t]
        products = by_weight.mul_(weights[t])
        torch.addcmul(products, weights[t], products.sum(1, keepdim=True), value=-1, out=by_scores[t])
        scores.pull_back(t, by_scores[t], by_h[-1][t])
        for layer, by_below in zip(layers[::-1], [*by_h[-2::-1], by_fed], strict=True):
            layer.pull_back(t, by_below[t])
    return by_fed, deltas, by_contexts, by_scores


def _steps_by_autograd(
    cells: Sequence[Cell], attention: AdditiveAttention, mask: Tensor, inputs: Inputs
) -> tuple[Tensor, Tensor]:
    """Return the results of `BatchedSteps` by the equations in a loop."""
    parameters = {"query.weight": inputs.scoring[0], "energy.weight": inputs.scoring[1]}
    recurrences = [Recurrence(weight_hh, bias_hh) for _, weight_hh, _, bias_hh in inputs.layers]
    states, fed = list(inputs.states), inputs.feed
    pre_outputs, weights = [], []
    for y in inputs.embedded:
        x = torch.cat([y, fed], dim=1)
        for number, (cell, (weight, _, bias, _)) in enumerate(zip(cells, inputs.layers, strict=True)):
            (x,) = cell.step(linear(x, weight, bias), (states[number],), recurrences[number])
            states[number] = x
        arguments = (x.unsqueeze(1), inputs.keys, inputs.annotations, mask)
        context, step_weights = functional_call(attention, parameters, arguments)
        fed = torch.tanh(linear(torch.cat([x, y, context.squeeze(1)], dim=1), *inputs.deep))
        pre_outputs.append(fed)
        weights.append(step_weights.squeeze(1))
    return torch.stack(pre_outputs), torch.stack(weights)


def run_steps(
    cells: Sequence[Cell], attention: AdditiveAttention, mask: Tensor, inputs: Inputs
) -> tuple[Tensor, Tensor]:
    """Run all steps of a decoder.

    Args:
        cells: the cell of each layer, with a batched step, the bottom layer first.
        attention: the attention, whose weights are in the inputs.
        mask: True at positions of the source, bool [batch, source_time].
        inputs: the tensors.

    Returns:
        The pre-outputs [batch, time, embedding] and the attention weights [batch, time, source_time].
    """
    run: Callable[..., tuple[Tensor, Tensor]] = BatchedSteps.apply
    pre_outputs, weights = run(cells, attention, mask, *inputs.flat())
    # The output layer is faster on a contiguous input.
    return pre_outputs.transpose(0, 1).contiguous(), weights.transpose(0, 1)
