"""One recurrent stack for every cell, depth and direction."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from rnnexp.core.validation import lookup, require_fraction, require_positive, validate_choice
from rnnexp.recurrent.cells import CELLS, Cell, State
from rnnexp.recurrent.directions import join_directions, split_directions
from rnnexp.recurrent.initialization import INITIALIZATIONS, set_gate_bias
from rnnexp.recurrent.kernels import flatten_weights, run_kernel
from rnnexp.recurrent.lengths import check_lengths, inside_mask
from rnnexp.recurrent.scan import scan_layer

BACKENDS = {"fused": "torch's kernels", "reference": "the cell's equations in a loop"}


class RecurrentStack(nn.Module):
    """Layers of a recurrent cell, in one direction or both.

    Weights carry the names, shapes and order of torch.nn's recurrent modules (`weight_ih_l0`, `bias_hh_l1_reverse` ...)
    whatever the backend and the options: the state dict of one backend loads into the other, and a plain stack's into
    torch.nn.GRU and its siblings.

    Args:
        cell: a name in `CELLS`, or a `Cell`.
        input_size: features of x.
        hidden_size: features of h, per direction.
        num_layers: depth.
        bidirectional: a second scan per layer, from each sequence's last step to its first.
        dropout: probability of zeroing an input of the second and later layers. A single layer has nothing to drop.
        backend: `fused` for torch's kernels, `reference` for the cell's equations in a loop.
        reset: of a GRU: `after` scales U h + d (PyTorch, cuDNN), `before` scales h (Cho et al., 2014; reference only).
        nonlinearity: of an SRN: `tanh` or `relu`.
        initialization: `orthogonal` (recurrent blocks orthogonal, input blocks Glorot uniform, biases 0) or `pytorch`.
        forget_bias: what the two biases of an LSTM's forget gate add up to; None leaves them to the initialization.
        time_tied_dropout: one dropout mask per sequence, the same at every step (Gal & Ghahramani, 2016,
            arXiv:1512.05287).
        learned_initial_state: train the state before the first step, starting from zero.
        layer_norm: normalise each layer's outputs over their features (Ba et al., 2016, arXiv:1607.06450). What the
            cell carries from step to step, and so the state, is left as it is.
        residual: from the second layer on, add to a layer's outputs what went into it; after the normalisation, and
            before any dropout. The state is left as it is.
        reproducible: drop outside the kernel, because cuDNN's own dropout does not repeat under one seed.

    Attributes:
        cell_name: as in `CELLS`; for a `Cell`, the name of its step.
        reset, nonlinearity: None for a cell without that option.
        directions: 1 or 2.
        output_size: directions * hidden_size.
        alters_outputs: whether outputs are normalised or added to, so that they are more than each step's h.
        num_states: tensors in the state.
        state_size: numbers that a sequence carries from one step to the next, over all layers and directions.
        multiply_adds_per_step: of the products of one step of one sequence, over all layers and directions.

    Raises:
        ValueError: for sizes below 1, dropout outside [0, 1), an unknown choice, an option that the cell does not have,
            and the fused backend for a cell without a kernel.
    """

    def __init__(
        self,
        cell: str | Cell,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        backend: str = "fused",
        reset: str = "after",
        nonlinearity: str = "tanh",
        initialization: str = "orthogonal",
        forget_bias: float | None = 1.0,
        time_tied_dropout: bool = False,
        learned_initial_state: bool = False,
        layer_norm: bool = False,
        residual: bool = False,
        reproducible: bool = False,
    ) -> None:
        super().__init__()
        require_positive(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        require_fraction(dropout=dropout)
        validate_choice("backend", backend, BACKENDS)
        validate_choice("initialization", initialization, INITIALIZATIONS)
        row = cell if isinstance(cell, Cell) else lookup("cell", cell, CELLS)
        name = row.step.__name__ if isinstance(cell, Cell) else cell
        self.cell = row.variant(name, reset=reset, nonlinearity=nonlinearity)
        self.kernel = self.cell.fused if backend == "fused" else None
        if row.forget_gate is None and forget_bias not in (None, 1.0):
            raise ValueError(f"cell {name!r} has no forget gate: leave forget_bias at 1.0, not {forget_bias!r}")
        if backend == "fused" and self.kernel is None:
            raise ValueError(f"cell {name!r} has no fused kernel for {self.cell.step.__name__}: use backend=reference")

        self.cell_name = name
        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bidirectional, self.directions = bidirectional, 2 if bidirectional else 1
        self.backend, self.reset = backend, reset if "reset" in row.variants else None
        self.nonlinearity = nonlinearity if "nonlinearity" in row.variants else None
        self.dropout, self.time_tied_dropout, self.residual = dropout, time_tied_dropout, residual
        self.initialization, self.forget_bias = initialization, forget_bias
        self.output_size = self.directions * hidden_size
        self.alters_outputs = layer_norm or (residual and num_layers > 1)
        self.num_states = self.cell.states
        self.state_size = num_layers * self.output_size * self.num_states
        inputs = [input_size, *[self.output_size] * (num_layers - 1)]
        self.multiply_adds_per_step = sum(self.output_size * self.cell.gates * (size + hidden_size) for size in inputs)
        # One kernel for the whole stack overlaps its layers; anything it cannot do between them takes one per layer.
        between = self.alters_outputs or (dropout > 0 and (time_tied_dropout or reproducible))
        self.layers_per_run = 1 if between or self.kernel is None else num_layers

        self.weight_names: list[str] = []
        for layer in range(num_layers):
            for direction in ("", "_reverse")[: self.directions]:
                self._register_weights(f"l{layer}{direction}", self.output_size if layer else input_size)
        self.initial_state: nn.Parameter | None = None
        if learned_initial_state:
            self.initial_state = nn.Parameter(torch.empty(self.num_states, num_layers, 1, self.output_size))
        self.norms = nn.ModuleList(nn.LayerNorm(self.output_size) for _ in range(num_layers if layer_norm else 0))
        self.reset_parameters()
        self.flatten_parameters()
        self.register_load_state_dict_post_hook(_flatten_after_loading)  # type: ignore[no-untyped-call]

    def _register_weights(self, suffix: str, input_size: int) -> None:
        rows = self.cell.gates * self.hidden_size
        shapes = {
            "weight_ih": (rows, input_size),
            "weight_hh": (rows, self.hidden_size),
            "bias_ih": (rows,),
            "bias_hh": (rows,),
        }
        for kind, shape in shapes.items():
            self.register_parameter(f"{kind}_{suffix}", nn.Parameter(torch.empty(shape)))
            self.weight_names.append(f"{kind}_{suffix}")

    def reset_parameters(self) -> None:
        """Draw all parameters anew."""
        weights = self._weights()
        with torch.no_grad():
            for start in range(0, len(weights), 4):
                weight_ih, weight_hh, bias_ih, bias_hh = weights[start : start + 4]
                INITIALIZATIONS[self.initialization](weight_ih, weight_hh, bias_ih, bias_hh)
                if self.cell.forget_gate is not None and self.forget_bias is not None:
                    set_gate_bias(bias_ih, bias_hh, self.cell.forget_gate, self.hidden_size, self.forget_bias)
            if self.initial_state is not None:
                self.initial_state.zero_()
        for norm in self.norms:
            assert isinstance(norm, nn.LayerNorm)
            norm.reset_parameters()

    def flatten_parameters(self) -> None:
        """Lay the weights out in memory as cuDNN reads them. Construction, moves, copies and loading see to it."""
        if self.kernel is not None:
            for first in range(0, self.num_layers, self.layers_per_run):
                flatten_weights(self.kernel, self._weights(first), self.layers_per_run, self.bidirectional)

    def _weights(self, first: int | None = None) -> list[Tensor]:
        """Weights of all layers, or of the one run that begins with the layer `first`."""
        names = self.weight_names
        if first is not None:
            names = names[4 * self.directions * first : 4 * self.directions * (first + self.layers_per_run)]
        return [getattr(self, name) for name in names]

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> "RecurrentStack":
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call]
        self.flatten_parameters()
        return self

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        self.flatten_parameters()

    def forward(self, x: Tensor, lengths: Tensor | None = None, state: State | None = None) -> tuple[Tensor, State]:
        """Run over a batch of sequences.

        Args:
            x: [batch, time, features]. What it holds past a sequence's end does not matter.
            lengths: steps of each sequence, int64 [batch] on the CPU; None if each has as many as x.
            state: before the first step, as returned; None for zeros or the learned state.

        Returns:
            outputs [batch, time, directions * hidden], zero past a sequence's end, and the state after its last step
            [layers, batch, directions * hidden] each: (h,), for an LSTM (h, c). A backward scan's last step is the
            sequence's first.

        Raises:
            ValueError: for shapes that do not fit, and lengths below 1 or above time.
        """
        if x.dim() != 3 or x.shape[2] != self.input_size or 0 in x.shape:
            raise ValueError(f"x must be [batch, time, {self.input_size}], none of them 0, not {list(x.shape)}")
        inside = None
        if lengths is not None:
            check_lengths(lengths, x)
            if bool((lengths == x.shape[1]).all()):
                lengths = None  # nothing is padded, so nothing need be packed
            else:
                inside = inside_mask(lengths, x)
        state = self._start(x, state)
        finals = []
        for first in range(0, self.num_layers, self.layers_per_run):
            rows = slice(first * self.directions, (first + self.layers_per_run) * self.directions)
            dropped = self._drop(x) if first > 0 else x
            y, final = self._run(
                dropped, lengths, inside, tuple(tensor[rows] for tensor in state), self._weights(first)
            )
            if self.norms:
                y = self.norms[first](y)
                y = y if inside is None else y.masked_fill(~inside, 0)
            x = x + y if self.residual and first > 0 else y
            finals.append(final)
        state = finals[0] if len(finals) == 1 else tuple(torch.cat(tensors) for tensors in zip(*finals, strict=True))
        return x, tuple(join_directions(tensor, self.directions) for tensor in state)

    def _run(
        self, x: Tensor, lengths: Tensor | None, inside: Tensor | None, state: State, weights: list[Tensor]
    ) -> tuple[Tensor, State]:
        """The layers that one kernel or loop computes; states are [layers * directions, batch, hidden] here."""
        if self.kernel is None:
            return scan_layer(self.cell, x, inside, state, weights)
        probability = self.dropout if self.training and self.layers_per_run > 1 else 0.0
        return run_kernel(self.kernel, x, lengths, state, weights, self.layers_per_run, self.bidirectional, probability)

    def _drop(self, x: Tensor) -> Tensor:
        """Dropout on what goes into a layer [batch, time, features]."""
        if not self.training or self.dropout == 0:
            return x
        # Drawn apart from x, whose order in memory, and with it the mask, would differ from backend to backend.
        ones = x.new_ones(len(x), 1 if self.time_tied_dropout else x.shape[1], x.shape[2])
        return x * functional.dropout(ones, self.dropout)

    def _start(self, x: Tensor, state: State | None) -> State:
        """The state before the first step, [layers * directions, batch, hidden] each."""
        if state is None:
            if self.initial_state is None:
                return (x.new_zeros(self.num_layers * self.directions, len(x), self.hidden_size),) * self.num_states
            state = self.initial_state.expand(-1, -1, len(x), -1).unbind()
        shape = (self.num_layers, len(x), self.output_size)
        if not isinstance(state, tuple) or [tensor.shape for tensor in state] != [shape] * self.num_states:
            raise ValueError(f"state must be a tuple of {self.num_states} tensors {list(shape)} for this stack")
        return tuple(split_directions(tensor, self.directions) for tensor in state)

    def extra_repr(self) -> str:
        """The line that print shows."""
        parts = [self.cell_name, f"{self.input_size} -> {self.output_size}", f"num_layers={self.num_layers}"]
        return ", ".join([*parts, f"directions={self.directions}", f"backend={self.backend}"])


def _flatten_after_loading(stack: RecurrentStack, _: object) -> None:
    # load_state_dict(assign=True) puts tensors of its own in the place of the weights.
    stack.flatten_parameters()
