"""The scan of a layer with the gradients of U and d deferred to its end, for any cell.

Autograd computes a gradient of U for each step, and adds them. Here each product adds an offset of its own, which has
the value of d. The gradient by an offset is that by its product, so the gradient of U is one product over
[time * batch], and that of d is a sum.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import linear

from rnnexp.recurrent.cells import WEIGHTS, Cell, CellFunction, State
from rnnexp.recurrent.scan import Weights

STEPS_AT_ONCE = 4
"""The number of steps in one call of `run_steps`. When it is compiled, operations of adjacent steps are fused."""


class Product(NamedTuple):
    """A recurrent product of a step: one call of `recur` or more with the same term."""

    gates: slice
    """The gates of the product, which are those of its calls, side by side."""
    calls: tuple[int, ...]
    """The numbers of the calls."""


class OffsetRecurrence:
    """The `recur` of a step. It computes calls with the same term as one product, and adds an offset in place of d.

    Args:
        weight: U, without gradient.
        products: those of the step.
        offsets: [batch, rows] for each product.

    Attributes:
        factors: the terms that were multiplied by U, by product, without history.
    """

    def __init__(self, weight: Tensor, products: Sequence[Product], offsets: Sequence[Tensor]) -> None:
        self.factors: list[Tensor] = []
        self._weight, self._products, self._offsets = weight, products, offsets
        self._results: list[Tensor] = []
        self._calls = 0
        self.gates = [partial(self._call, gate) for gate in range(len(weight) // weight.shape[1])]

    def __call__(self, h: Tensor) -> Tensor:
        return self._call(0, h, len(self.gates))

    def _call(self, gate: int, h: Tensor, num_gates: int = 1) -> Tensor:
        number = next(number for number, product in enumerate(self._products) if self._calls in product.calls)
        self._calls += 1
        gates, size = self._products[number].gates, h.shape[1]
        if number == len(self._results):
            block = self._weight[gates.start * size : gates.stop * size]
            self._results.append(torch.mm(h, block.t()) + self._offsets[number])
            self.factors.append(h.detach())
        first = gate - gates.start
        return self._results[number][:, first * size : (first + num_gates) * size]


def products_of(cell: Cell) -> tuple[Product, ...] | None:
    """Return the recurrent products of a step, in order; None if the step cannot be observed.

    The step runs once, on a small state. It must call `recur`, and not compute with its weight.
    """
    calls: list[tuple[Tensor, slice]] = []

    def call(h: Tensor, gates: slice) -> Tensor:
        calls.append((h, gates))
        return h.repeat(1, gates.stop - gates.start)

    class Observed:
        def __init__(self) -> None:
            self.gates = [partial(call, gates=slice(gate, gate + 1)) for gate in range(cell.gates)]

        def __call__(self, h: Tensor) -> Tensor:
            return call(h, slice(0, cell.gates))

    h = torch.full((2, 4), 0.1)
    shapes = cell.weight_shapes(1, h.shape[1])
    parameters = {name: torch.full(shapes[name], 0.1) for name in cell.parameters}
    try:
        with torch.no_grad(), torch.random.fork_rng(devices=[]):
            recur = Observed() if "weight_hh" in cell.weights else None
            state = tuple(h.clone() for _ in range(cell.states))
            cell.step(h.repeat(1, cell.gates), state, recur, **parameters)
    except Exception:
        return None
    products: list[Product] = []
    for number, (term, gates) in enumerate(calls):
        last = products[-1] if products and term is calls[products[-1].calls[0]][0] else None
        if last is not None and last.gates.start == gates.stop:
            products[-1] = Product(slice(gates.start, last.gates.stop), (*last.calls, number))
        elif last is not None and last.gates.stop == gates.start:
            products[-1] = Product(slice(last.gates.start, gates.stop), (*last.calls, number))
        else:
            products.append(Product(gates, (number,)))
    return tuple(products)


def run_steps(
    step: CellFunction,
    inputs: Sequence[Tensor],
    masks: Sequence[Tensor] | None,
    state: State,
    weight: Tensor | None,
    products: Sequence[Product],
    offsets: Sequence[Sequence[Tensor]],
    parameters: Mapping[str, Tensor],
) -> tuple[list[Tensor], State, list[list[Tensor]]]:
    """Run some steps.

    Args:
        step: the equations of the cell.
        inputs: the input half of each step, [batch, gates * hidden].
        masks: where a step is part of a sequence, bool [batch, 1] each; None if all are.
        state: the state before the first step.
        weight: U without gradient; None for a cell without U.
        products: those of a step.
        offsets: of each product of each step.
        parameters: the additional weights of the cell, by name.

    Returns:
        h after each step, the other tensors of the last state, and the factors of each product of each step.
    """
    outputs, factors = [], []
    for number, x in enumerate(inputs):
        recur = None if weight is None else OffsetRecurrence(weight, products, offsets[number])
        proposed = step(x, state, recur, **parameters)
        if masks is not None:
            pairs = zip(proposed, state, strict=True)
            proposed = tuple(torch.where(masks[number], new, old) for new, old in pairs)
        state = proposed
        outputs.append(state[0])
        factors.append([] if recur is None else recur.factors)
    return outputs, state[1:], factors


class DeferredScan:
    """One direction of one layer: its forward pass, and its gradients.

    Args:
        cell: a cell whose products are known.
        reverse: whether the scan runs from the last step to the first.
        run: `run_steps`, or the same compiled.
    """

    def __init__(self, cell: Cell, reverse: bool, run: Callable[..., Any] = run_steps) -> None:
        products = products_of(cell)
        assert products is not None
        self.cell, self.reverse, self.run, self.products = cell, reverse, run, products
        self._rows: list[slice] = []
        self._offsets: list[list[Tensor]] = []
        self._factors: list[list[Tensor]] = []

    @property
    def offsets(self) -> list[Tensor]:
        """The offsets of the last forward pass, product by product."""
        return [offsets[number] for number in range(len(self.products)) for offsets in self._offsets]

    def forward(self, x: Tensor, mask: Tensor | None, state: State, weights: Weights) -> tuple[Tensor, State]:
        """Run over a batch.

        Args:
            x: [time, batch, features].
            mask: True at steps of a sequence, bool [time, batch, 1]; None if all are.
            state: the initial state, [batch, hidden] each.
            weights: those of the layer, by name.

        Returns:
            Outputs [batch, time, hidden] and the final state, [batch, hidden] each.
        """
        hidden_size = state[0].shape[1]
        weight, bias = (tensor if tensor is None else tensor.detach() for tensor in map(weights.get, WEIGHTS[1::2]))
        bias = x.new_zeros(self.cell.gates * hidden_size) if bias is None else bias
        self._rows = [slice(gates.start * hidden_size, gates.stop * hidden_size) for gates, _ in self.products]
        self._offsets = [[bias[rows].expand(x.shape[1], -1) for rows in self._rows] for _ in x]
        for offset in self.offsets:
            offset.requires_grad_(torch.is_grad_enabled())
        inputs = linear(x, weights["weight_ih"], weights.get("bias_ih")).unbind()
        parameters = {name: weights[name] for name in self.cell.parameters}
        order = range(len(x))[::-1] if self.reverse else range(len(x))
        outputs: list[Tensor] = []
        self._factors = []
        # The last steps run one by one, so that a compiled function sees two numbers of steps.
        remainder = len(x) % STEPS_AT_ONCE
        for size in [STEPS_AT_ONCE] * (len(x) // STEPS_AT_ONCE) + [1] * remainder:
            first = len(outputs)
            steps = order[first : first + size]
            masks = None if mask is None else [mask[t] for t in steps]
            offsets = self._offsets[first : first + size]
            states, others, factors = self.run(
                self.cell.step, [inputs[t] for t in steps], masks, state, weight, self.products, offsets, parameters
            )
            state = (states[-1], *others)
            outputs += states
            self._factors += factors
        y = torch.stack(outputs[::-1] if self.reverse else outputs, dim=1)
        return (y if mask is None else y.masked_fill(~mask.transpose(0, 1), 0)), state

    def recurrent_gradients(self, weight: Tensor, by_offsets: Sequence[Tensor | None]) -> tuple[Tensor, Tensor]:
        """Return the gradients of U and d.

        Args:
            weight: U.
            by_offsets: the gradient of each of `offsets`; None for zeros.
        """
        by_weight, by_bias = torch.zeros_like(weight), weight.new_zeros(len(weight))
        time = len(self._offsets)
        for number, rows in enumerate(self._rows):
            gradients = by_offsets[number * time : (number + 1) * time]
            used = [(by, step[number]) for by, step in zip(gradients, self._factors, strict=True) if by is not None]
            by_product, factors = (torch.cat(tensors) for tensors in zip(*used, strict=True))
            by_weight[rows].addmm_(by_product.t(), factors)
            by_bias[rows] += by_product.sum(0)
        return by_weight, by_bias


def weights_of(cell: Cell, tensors: Sequence[Tensor]) -> list[dict[str, Tensor]]:
    """Return the weights of each direction by name, from W, U, b, d and the parameters of one direction after another.

    Those that the cell does not have are left out.
    """
    names = [*(name for name in WEIGHTS if name in cell.weights), *cell.parameters]
    starts = range(0, len(tensors), len(names))
    return [dict(zip(names, tensors[start : start + len(names)], strict=True)) for start in starts]


class DeferredLayer:
    """One layer in one or both directions: its forward pass, and its gradients.

    Args:
        cell: a cell whose products are known.
        directions: 1 or 2.
        run: `run_steps`, or the same compiled.
    """

    def __init__(self, cell: Cell, directions: int, run: Callable[..., Any] = run_steps) -> None:
        self.cell, self.num_states = cell, cell.states
        self.scans = [DeferredScan(cell, direction == 1, run) for direction in range(directions)]
        self._inputs: Sequence[Tensor] = ()
        self._results: Sequence[Tensor] = ()

    def forward(self, inputs: Sequence[Tensor], mask: Tensor | None) -> Sequence[Tensor]:
        """Run over a batch.

        Args:
            inputs: x [batch, time, features]; the tensors of the initial state, [directions, batch, hidden] each; the
                weights of each direction, see `weights_of`.
            mask: True at steps of a sequence, bool [batch, time, 1]; None if all are.

        Returns:
            Outputs [batch, time, directions * hidden], and the tensors of the final state, [directions, batch, hidden].
        """
        x, state = inputs[0], inputs[1 : 1 + self.num_states]
        if mask is not None:
            x, mask = x.masked_fill(~mask, 0), mask.transpose(0, 1)
        outputs, finals = [], []
        for direction, (scan, weights) in enumerate(
            zip(self.scans, weights_of(self.cell, inputs[1 + self.num_states :]), strict=True)
        ):
            initial = tuple(tensor[direction] for tensor in state)
            y, final = scan.forward(x.transpose(0, 1), mask, initial, weights)
            outputs.append(y)
            finals.append(final)
        self._inputs = inputs
        self._results = [torch.cat(outputs, dim=-1), *(torch.stack(each) for each in zip(*finals, strict=True))]
        return self._results

    def backward(self, by_results: Sequence[Tensor]) -> list[Tensor | None]:
        """Return the gradient of each input of the last forward pass; None for those that need none."""
        directions = weights_of(self.cell, self._inputs[1 + self.num_states :])
        deferred = {id(named[name]) for named in directions for name in ("weight_hh", "bias_hh") if name in named}
        wanted = [tensor for tensor in self._inputs if tensor.requires_grad and id(tensor) not in deferred]
        offsets = [offset for scan in self.scans for offset in scan.offsets]
        found = torch.autograd.grad(self._results, [*wanted, *offsets], by_results, allow_unused=True)
        gradients = {id(tensor): gradient for tensor, gradient in zip(wanted, found, strict=False)}
        by_offsets = iter(found[len(wanted) :])
        for scan, named in zip(self.scans, directions, strict=True):
            if "weight_hh" in named:
                by_own = [next(by_offsets) for _ in scan.offsets]
                by_weight, by_bias = scan.recurrent_gradients(named["weight_hh"], by_own)
                gradients[id(named["weight_hh"])] = by_weight
                if "bias_hh" in named:
                    gradients[id(named["bias_hh"])] = by_bias
        return [gradients.get(id(tensor)) for tensor in self._inputs]
