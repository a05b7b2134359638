"""The passes of a layer as CUDA graphs, for cells without a kernel.

A GPU computes the operations of one step faster than Python starts them. A graph holds all operations of a pass, and
starts them with one call. It is captured once for each form of a batch, on tensors of its own: a pass copies its
inputs to them, and copies the results. Where Triton is installed the steps are compiled before, which fuses their
elementwise operations.
"""

import warnings
import weakref
from collections.abc import Callable, Hashable, Sequence
from functools import cached_property
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor

from rnnexp.compat.torch_compile import many_compilations
from rnnexp.core.errors import first_line
from rnnexp.recurrent.cells import Cell, State
from rnnexp.recurrent.deferred import DeferredLayer, products_of, run_steps, weights_of
from rnnexp.recurrent.scan import Weights, differentiable_gradients, scan_layer

SHORTEST = 8
"""The number of steps from which a graph is captured."""
MOST_GRAPHS = 128
"""The number of forms of a batch for which a layer captures graphs. Others run in a loop."""
WARMUP_PASSES = 3  # as torch.cuda.make_graphed_callables


class CapturedLayer:
    """The passes of one layer for batches of one form.

    Args:
        layer: the layer.
        inputs: those of `DeferredLayer.forward`, whose values have no meaning.
        mask: likewise.
    """

    def __init__(self, layer: DeferredLayer, inputs: Sequence[Tensor], mask: Tensor | None) -> None:
        self.has_backward = torch.is_grad_enabled()
        with torch.inference_mode(False), torch.set_grad_enabled(self.has_backward):
            self.inputs = [torch.empty_like(tensor, memory_format=torch.contiguous_format) for tensor in inputs]
            for own, given in zip(self.inputs, inputs, strict=True):
                own.copy_(given.detach()).requires_grad_(given.requires_grad)
            # A compiled function would otherwise be compiled once more for the first steps.
            for own in self.inputs[1 : 1 + layer.num_states]:
                own.requires_grad_(self.has_backward)
            self.mask = None if mask is None else mask.clone()
            self._capture(layer)
        self.number_of_passes = 0
        self._last_pass: Callable[[], Pass | None] = lambda: None

    def _capture(self, layer: DeferredLayer) -> None:
        # Autograd warns if nodes of the warm-up, on another stream, are alive during the capture.
        stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(WARMUP_PASSES):
                results = layer.forward(self.inputs, self.mask)
                if self.has_backward:
                    layer.backward([torch.ones_like(result) for result in results])
        torch.cuda.synchronize()
        self.forward_graph, self.backward_graph = torch.cuda.CUDAGraph(), torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.forward_graph, stream=stream, capture_error_mode="thread_local"):
            results = layer.forward(self.inputs, self.mask)
        self.by_results = [torch.zeros_like(result) for result in results]
        self.gradients: list[Tensor | None] = []
        if self.has_backward:
            with torch.cuda.graph(
                self.backward_graph, self.forward_graph.pool(), stream, capture_error_mode="thread_local"
            ):
                self.gradients = layer.backward(self.by_results)
        self.results = [result.detach() for result in results]

    @property
    def is_waiting(self) -> bool:
        """Whether the backward pass of the last forward pass may still follow."""
        last = self._last_pass()
        return last is not None and not last.is_over

    def forward(self, inputs: Sequence[Tensor], mask: Tensor | None) -> tuple[Tensor, ...]:
        """Return the results of `DeferredLayer.forward`."""
        for own, given in zip(self.inputs, inputs, strict=True):
            own.detach().copy_(given)
        if self.mask is not None:
            assert mask is not None
            self.mask.copy_(mask)
        self.forward_graph.replay()
        return tuple(result.clone() for result in self.results)

    def start_pass(self) -> "Pass":
        """Return a new pass."""
        self.number_of_passes += 1
        started = Pass(self.number_of_passes)
        self._last_pass = weakref.ref(started)
        return started

    def backward(self, by_results: Sequence[Tensor | None]) -> list[Tensor | None]:
        """Return the results of `DeferredLayer.backward`, for the last forward pass."""
        for own, given in zip(self.by_results, by_results, strict=True):
            if given is None:
                own.zero_()
            else:
                own.copy_(given)
        self.backward_graph.replay()
        return [gradient if gradient is None else gradient.clone() for gradient in self.gradients]


class Pass:
    """A forward pass whose backward pass may follow."""

    def __init__(self, number: int) -> None:
        self.number, self.is_over = number, False


class Replay(torch.autograd.Function):
    """The passes of a captured layer. The arguments are the layer, a cell, the mask and the inputs."""

    @staticmethod
    def forward(
        ctx: Any,  # noqa: ANN401
        captured: CapturedLayer,
        cell: Cell,
        mask: Tensor | None,
        *inputs: Tensor,
    ) -> tuple[Tensor, ...]:
        ctx.captured, ctx.cell, ctx.mask = captured, cell, mask
        ctx.current = captured.start_pass()
        ctx.save_for_backward(*inputs)
        ctx.set_materialize_grads(False)
        return captured.forward(inputs, mask)

    @staticmethod
    def backward(ctx: Any, *by_results: Tensor | None) -> tuple[Tensor | None, ...]:  # noqa: ANN401
        inputs = ctx.saved_tensors
        if torch.is_grad_enabled():  # the gradients will be differentiated
            return None, None, None, *_gradients_by_autograd(ctx.cell, ctx.mask, inputs, by_results)
        if ctx.current.number != ctx.captured.number_of_passes:
            raise RuntimeError("a second backward pass must precede the next forward pass of the same stack")
        ctx.current.is_over = True
        return None, None, None, *ctx.captured.backward(by_results)


def _gradients_by_autograd(
    cell: Cell, mask: Tensor | None, inputs: Sequence[Tensor], by_results: Sequence[Tensor | None]
) -> list[Tensor | None]:
    """Return gradients that can be differentiated, of the equations in a loop."""
    first = 1 + cell.states
    outputs, state = scan_layer(cell, inputs[0], mask, tuple(inputs[1:first]), weights_of(cell, inputs[first:]))
    return differentiable_gradients([outputs, *state], inputs, by_results)


class Graphs:
    """The graphs of a stack. A copy of it, also of another process, starts without graphs.

    Args:
        cell: the cell of the stack.

    Attributes:
        has_failed: whether a pass could not be captured, such as one that reads a value from the GPU.
    """

    def __init__(self, cell: Cell) -> None:
        self.cell = cell
        self.has_failed = False
        self._captured: dict[Hashable, CapturedLayer] = {}

    def __reduce__(self) -> tuple[type["Graphs"], tuple[Cell]]:
        return Graphs, (self.cell,)

    @cached_property
    def is_possible(self) -> bool:
        """Whether the products of the cell are known."""
        return products_of(self.cell) is not None

    def supports(self, x: Tensor) -> bool:
        """Return whether a batch x [batch, time, features] runs as a graph."""
        return x.is_cuda and x.shape[1] >= SHORTEST and not self.has_failed and self.is_possible

    def run(
        self, layer: int, x: Tensor, mask: Tensor | None, state: State, weights: Sequence[Weights]
    ) -> tuple[Tensor, State]:
        """Run one layer. Arguments and results are those of `scan_layer`, and the number of the layer."""
        inputs = [x, *state, *(tensor for named in weights for tensor in named.values())]
        captured = self._find(layer, inputs, mask, len(weights))
        if captured is None or captured.is_waiting:
            return scan_layer(self.cell, x, mask, state, weights)
        if captured.has_backward:
            outputs, *final = Replay.apply(captured, self.cell, mask, *inputs)
        else:
            outputs, *final = captured.forward(inputs, mask)
        return outputs, tuple(final)

    def _find(self, layer: int, inputs: Sequence[Tensor], mask: Tensor | None, directions: int) -> CapturedLayer | None:
        """Return the captured layer for batches of a form; None if it cannot be captured."""
        x = inputs[0]
        needed = tuple(tensor.requires_grad and torch.is_grad_enabled() for tensor in inputs)
        form = (layer, x.shape, x.dtype, x.device, mask is None, needed)
        if form not in self._captured and not self.has_failed and len(self._captured) < MOST_GRAPHS:
            try:
                with torch.set_grad_enabled(any(needed)):
                    self._captured[form] = capture(self.cell, directions, inputs, mask)
            except torch.OutOfMemoryError:
                raise
            except Exception as error:
                self.has_failed = True
                what = f"the steps of the cell run in a loop, since they are no CUDA graph: {first_line(error)}"
                warnings.warn(what, stacklevel=2)
        return self._captured.get(form)


def capture(cell: Cell, directions: int, inputs: Sequence[Tensor], mask: Tensor | None) -> CapturedLayer:
    """Capture the passes of a layer, with compiled steps if they can be compiled."""
    if find_spec("triton") is not None:
        try:
            with many_compilations():
                compiled = torch.compile(run_steps, dynamic=False, fullgraph=True)
                return CapturedLayer(DeferredLayer(cell, directions, compiled), inputs, mask)
        except torch.OutOfMemoryError:
            raise
        except Exception:
            torch.cuda.synchronize()
    return CapturedLayer(DeferredLayer(cell, directions), inputs, mask)
