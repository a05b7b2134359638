"""The recurrent stack, for every cell, depth and direction."""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from rnnexp.core.validation import require_fraction, require_positive, validate_choice
from rnnexp.recurrent.backends import BACKENDS, choose_backend, require_backend
from rnnexp.recurrent.batched import run_batched
from rnnexp.recurrent.cells import WEIGHTS, CellFunction, CellLike, State, make_cell
from rnnexp.recurrent.dropout import SequenceDropout
from rnnexp.recurrent.graphs import Graphs
from rnnexp.recurrent.initialization import INITIALIZATIONS
from rnnexp.recurrent.kernels import flatten_weights, run_kernel
from rnnexp.recurrent.layout import check_lengths, join_directions, make_mask, split_directions
from rnnexp.recurrent.parallel import run_parallel
from rnnexp.recurrent.scan import StepRecorder, scan_layer, with_zoneout


class RecurrentStack(nn.Module):
    """Layers of a recurrent cell, in one direction or both.

    Weights have the names, shapes and order of torch.nn's recurrent modules (`weight_ih_l0`, `bias_hh_l1_reverse` ...)
    with every backend and option: the state dict of one backend loads into another, and that of a plain stack into
    torch.nn.GRU and similar modules.

    Example:
        >>> stack = RecurrentStack("lstm", input_size=3, hidden_size=4, num_layers=2, bidirectional=True)
        >>> x, lengths = torch.randn(5, 7, 3), torch.tensor([7, 1, 4, 6, 2])
        >>> outputs, (h, c) = stack(x, lengths)
        >>> outputs.shape, h.shape
        (torch.Size([5, 7, 8]), torch.Size([2, 5, 8]))

    Args:
        cell: a name in `CELLS`, `module.name` of your own module, a `Cell`, a function that makes one, or a class in
            the form of torch.nn.GRUCell and torch.nn.LSTMCell.
        input_size: features of x.
        hidden_size: features of h, per direction.
        num_layers: the number of layers.
        bidirectional: whether each layer has a second scan, from each sequence's last step to its first.
        dropout: probability of zeroing an input of the second and later layers. It has no effect with one layer.
        zoneout: probability that a number of the state keeps its old value at a step (Krueger et al., 2017,
            arXiv:1606.01305), or a list with one for each tensor of the state; outside training, its weight in a mean
            of the old and the new value. The equations then run in a loop.
        backend: `fused` for the kernels of torch, `batched` for the steps that are written by hand, `parallel`
            for a scan in parallel over time, of cells that are linear in h, `graph` for the equations of the cell as a
            CUDA graph, `reference` for the equations in a loop, `auto` for the fastest one, see
            `rnnexp.recurrent.backends`.
        cell_options: option -> value, for options of the cell that differ from their defaults: `reset` of a GRU,
            `nonlinearity` of an SRN, `forget_bias` of an LSTM, see docs/cells.md.
        initialization: `orthogonal` (recurrent blocks orthogonal, input blocks Glorot uniform, biases 0), `identity`
            (recurrent blocks the identity, as in an IRNN) or `pytorch`. It has no effect on a class in the form of
            torch.nn, which initializes itself.
        time_tied_dropout: whether one dropout mask per sequence is used at every step (Gal & Ghahramani, 2016,
            arXiv:1512.05287).
        learned_initial_state: whether the initial state is trained, starting from zero; of a cell that is not
            `separable` only h, since its other tensors have no effect before the first step.
        layer_norm: whether each layer's outputs are normalized over their features (Ba et al., 2016,
            arXiv:1607.06450). The state is not normalized.
        residual: whether the inputs of the second and later layers are added to their outputs, after the normalization
            and before any dropout. The state is not changed.
        reproducible: whether dropout is applied outside the kernel, since cuDNN's is not reproducible with a seed.

    Attributes:
        cell: the `Cell`.
        cell_name: the given name; for a `Cell`, the name of its step.
        cell_options: all options of the cell with their values.
        backend: the given backend; with zoneout `reference`.
        last_backend: the backend of the last forward pass with gradients: `fused`, `batched`, `parallel`, `graph` or
            `reference`; before the first one, the given backend.
        directions: 1 or 2.
        output_size: directions * hidden_size.
        alters_outputs: whether outputs are normalized or have residuals, so that they differ from h.
        num_states: tensors in the state.
        state_size: numbers in the state of one sequence, over all layers and directions.
        multiply_adds_per_step: multiply-adds of the matrix products of one step of one sequence, over all layers and
            directions, with one product for each weight that is a matrix.
        recorder: while it is set, the equations run in a loop and every step is recorded.

    Raises:
        ValueError: for sizes below 1, dropout outside [0, 1), an unknown choice, an option that the cell does not have,
            and a backend that the cell does not have.
    """

    def __init__(
        self,
        cell: str | CellLike,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bidirectional: bool = False,
        dropout: float = 0.0,
        zoneout: float | Sequence[float] = 0.0,
        backend: str = "auto",
        cell_options: Mapping[str, Any] | None = None,
        initialization: str = "orthogonal",
        time_tied_dropout: bool = False,
        learned_initial_state: bool = False,
        layer_norm: bool = False,
        residual: bool = False,
        reproducible: bool = False,
    ) -> None:
        super().__init__()
        require_positive(input_size=input_size, hidden_size=hidden_size, num_layers=num_layers)
        self.layer_dropout = SequenceDropout(dropout, time_tied_dropout)
        validate_choice("backend", backend, BACKENDS)
        validate_choice("initialization", initialization, INITIALIZATIONS)
        self.cell_name, self.cell, self.cell_options = make_cell(cell, cell_options, input_size, hidden_size)
        given = {option: value for option, value in self.cell_options.items() if value not in (None, False)}
        chosen = "".join(f" {option}={value}" for option, value in given.items())
        require_backend(self.cell, f"{self.cell_name!r}{chosen}", backend)
        self.zoneout = self._zoneout_of_each_state(zoneout)
        if any(self.zoneout):
            validate_choice("backend with zoneout", backend, ("auto", "reference"))
            backend = "reference"
        self.backend = self.last_backend = backend

        self.input_size, self.hidden_size, self.num_layers = input_size, hidden_size, num_layers
        self.bidirectional, self.directions = bidirectional, 2 if bidirectional else 1
        self.dropout, self.time_tied_dropout, self.residual = dropout, time_tied_dropout, residual
        self.reproducible, self.initialization = reproducible, initialization
        self.output_size = self.directions * hidden_size
        self.alters_outputs = layer_norm or (residual and num_layers > 1)
        self.num_states = self.cell.states
        self.state_size = num_layers * self.output_size * self.num_states
        self.recorder: StepRecorder | None = None
        self._graphs = Graphs(self.cell)

        self.multiply_adds_per_step = 0
        for layer in range(num_layers):
            for direction in range(self.directions):
                shapes = self._register_weights(layer, direction)
                self.multiply_adds_per_step += sum(math.prod(shape) for shape in shapes if len(shape) > 1)
        self.initial_state: nn.Parameter | None = None
        if learned_initial_state:
            num_learned = self.num_states if self.cell.separable else 1
            self.initial_state = nn.Parameter(torch.empty(num_learned, num_layers, 1, self.output_size))
        self.norms = nn.ModuleList(nn.LayerNorm(self.output_size) for _ in range(num_layers if layer_norm else 0))
        self.reset_parameters()
        self._parametrize()
        self.flatten_parameters()
        self.register_load_state_dict_post_hook(_flatten_after_loading)  # type: ignore[no-untyped-call]

    def _zoneout_of_each_state(self, zoneout: float | Sequence[float]) -> tuple[float, ...]:
        """Return the probability of zoneout for each tensor of the state."""
        states = self.cell.states
        is_list = isinstance(zoneout, Sequence) and not isinstance(zoneout, str)
        each: tuple[Any, ...] = tuple(zoneout) if is_list else (zoneout,) * states  # type: ignore[arg-type]
        if len(each) != states:
            raise ValueError(f"zoneout has {len(each)} values, but cell {self.cell_name!r} has {states} state tensors")
        for probability in each:
            require_fraction(zoneout=probability)
        if any(each) and not self.cell.separable:
            raise ValueError(f"cell {self.cell_name!r} has no zoneout: the tensors of its state mean nothing alone")
        return each

    def _register_weights(self, layer: int, direction: int) -> list[tuple[int, ...]]:
        """Register the weights of one layer and direction, and return their shapes."""
        input_size = self.output_size if layer else self.input_size
        if self.cell.module is not None:
            module = self.cell.module(input_size, self.hidden_size)
            self.add_module(_weight_name("module", layer, direction), module)
            return [tuple(parameter.shape) for parameter in module.parameters()]
        shapes = self.cell.weight_shapes(input_size, self.hidden_size)
        for name, shape in shapes.items():
            self.register_parameter(_weight_name(name, layer, direction), nn.Parameter(torch.empty(shape)))
        return list(shapes.values())

    def _parametrize(self) -> None:
        """Register the parametrizations of the cell. Their inverses need values, which weights on meta do not have."""
        for layer in range(self.num_layers):
            for direction in range(self.directions):
                for name, register in self.cell.parametrizations.items():
                    full_name = _weight_name(name, layer, direction)
                    if not getattr(self, full_name).is_meta:
                        register(self, full_name)

    @property
    def layers_per_run(self) -> int:
        """The number of layers that one kernel computes.

        One kernel for the whole stack overlaps its layers. Operations between layers that a kernel does not have need
        one kernel per layer.
        """
        is_split = self.alters_outputs or (self.dropout > 0 and (self.time_tied_dropout or self.reproducible))
        return 1 if is_split else self.num_layers

    def reset_parameters(self) -> None:
        """Initialize all parameters."""
        with torch.no_grad():
            for layer in range(self.num_layers):
                for direction, weights in enumerate(self.layer_weights(layer)):
                    self._initialize(layer, direction, weights)
            if self.initial_state is not None:
                self.initial_state.zero_()
        for norm in self.norms:
            assert isinstance(norm, nn.LayerNorm)
            norm.reset_parameters()

    def _initialize(self, layer: int, direction: int, weights: dict[str, Any]) -> None:
        """Initialize the weights of one layer and direction."""
        if self.cell.module is not None:
            input_size = self.output_size if layer else self.input_size
            new = self.cell.module(input_size, self.hidden_size)
            weights["module"].load_state_dict(new.state_dict())
            return
        shared = {name: tensor for name, tensor in weights.items() if name in WEIGHTS}
        INITIALIZATIONS[self.initialization](shared, self.hidden_size)
        for name, parameter in self.cell.parameters.items():
            parameter.initialize(weights[name])
        if self.cell.initialize is not None:
            self.cell.initialize(weights)
        # The weight of a parametrization is the result of a function, and setting it sets what the function gets.
        for name in self.cell.parametrizations:
            setattr(self, _weight_name(name, layer, direction), weights[name])

    def flatten_parameters(self) -> None:
        """Store the weights in one block of memory for cuDNN, after construction, moves, copies and loading."""
        if self.cell.fused is None or self.backend not in ("auto", "fused"):
            return
        if self.cell.parametrizations:
            # cuDNN copies weights that are computed for each pass, and warns that they are not stored together.
            warnings.filterwarnings("ignore", message="RNN module weights are not part of single contiguous chunk")
        else:
            for first in range(0, self.num_layers, self.layers_per_run):
                flatten_weights(self.cell.fused, self._run_weights(first), self.layers_per_run, self.bidirectional)

    def layer_weights(self, layer: int) -> list[dict[str, Any]]:
        """Return the weights of one layer, or its modules: for each direction, by name without the layer."""
        names = [*(name for name in WEIGHTS if name in self.cell.weights), *self.cell.arguments]
        return [
            {name: getattr(self, _weight_name(name, layer, direction)) for name in names}
            for direction in range(self.directions)
        ]

    def _run_weights(self, first: int) -> list[Tensor]:
        """Return the weights of the layers that run together, beginning with the layer `first`, in order."""
        layers = range(first, first + self.layers_per_run)
        return [tensor for layer in layers for weights in self.layer_weights(layer) for tensor in weights.values()]

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
            x: [batch, time, features]. Values past the end of a sequence have no effect.
            lengths: steps of each sequence, int64 [batch] on the CPU; None if all have as many as x.
            state: the initial state, in the form of the returned one; None for zeros or the learned state.

        Returns:
            Outputs [batch, time, directions * hidden], zero past a sequence's end, and the state after its last step
            [layers, batch, directions * hidden] each: (h,), for an LSTM (h, c). A backward scan's last step is the
            sequence's first.

        Raises:
            ValueError: for shapes that do not fit, and lengths below 1 or above time.
        """
        if x.dim() != 3 or x.shape[2] != self.input_size or 0 in x.shape:
            raise ValueError(f"x must be [batch, time, {self.input_size}], none of them 0, not {list(x.shape)}")
        mask = None
        if lengths is not None:
            check_lengths(lengths, x)
            if bool((lengths == x.shape[1]).all()):
                lengths = None  # without padding there is nothing to pack
            else:
                mask = make_mask(lengths, x)
        if self.recorder is not None:
            self.recorder.start(x, lengths)
        state = self.start(x, state)
        backend = "reference"
        if self.recorder is None:
            backend = self.backend_for(x)
        num_layers = self.layers_per_run if backend == "fused" else 1
        finals = []
        for first in range(0, self.num_layers, num_layers):
            rows = slice(first * self.directions, (first + num_layers) * self.directions)
            dropped = self.layer_dropout(x) if first > 0 else x
            y, final = self._run(backend, first, dropped, lengths, mask, tuple(tensor[rows] for tensor in state))
            if self.norms:
                y = self.norms[first](y)
                y = y if mask is None else y.masked_fill(~mask, 0)
            x = x + y if self.residual and first > 0 else y
            finals.append(final)
        if self.recorder is None and torch.is_grad_enabled():
            self.last_backend = "reference" if backend == "graph" and self._graphs.has_failed else backend
        state = finals[0] if len(finals) == 1 else tuple(torch.cat(tensors) for tensors in zip(*finals, strict=True))
        return x, tuple(join_directions(tensor, self.directions) for tensor in state)

    def backend_for(self, x: Tensor) -> str:
        """Return the backend that runs a batch x, [batch, time, features], see `rnnexp.recurrent.backends`."""
        backend = choose_backend(self.cell, self.backend, self.hidden_size, x)
        return "reference" if backend == "graph" and not self._graphs.supports(x) else backend

    def _run(
        self, backend: str, first: int, x: Tensor, lengths: Tensor | None, mask: Tensor | None, state: State
    ) -> tuple[Tensor, State]:
        """Run the layers from `first` on that one kernel or loop computes.

        States are [layers * directions, batch, hidden], and the mask is [batch, time, 1]. Other arguments and the
        results are those of `forward`.
        """
        if backend != "fused":
            weights = self.layer_weights(first)
            if not (x.is_cuda and torch.is_autocast_enabled("cuda")) or self.cell.module is not None:
                return self._run_layer(backend, first, x, lengths, mask, state, weights)
            # Like cuDNN, compute the whole recurrence in the type of autocast.
            dtype = torch.get_autocast_dtype("cuda")
            weights = [{name: tensor.to(dtype) for name, tensor in named.items()} for named in weights]
            with torch.autocast("cuda", enabled=False):
                state = tuple(tensor.to(dtype) for tensor in state)
                return self._run_layer(backend, first, x.to(dtype), lengths, mask, state, weights)
        assert self.cell.fused is not None
        num_layers, kernel_weights = self.layers_per_run, self._run_weights(first)
        probability = self.dropout if self.training and num_layers > 1 else 0.0
        return run_kernel(
            self.cell.fused, x, lengths, state, kernel_weights, num_layers, self.bidirectional, probability
        )

    def _run_layer(
        self,
        backend: str,
        layer: int,
        x: Tensor,
        lengths: Tensor | None,
        mask: Tensor | None,
        state: State,
        weights: list[dict[str, Any]],
    ) -> tuple[Tensor, State]:
        """Run one layer without a kernel, with its weights by direction and name."""
        if backend == "graph":
            return self._graphs.run(layer, x, mask, state, weights)
        if backend == "parallel":
            return run_parallel(self.cell, x, mask, state, weights)
        if backend == "batched":
            return run_batched(self.cell, x, lengths, state, [list(named.values()) for named in weights])
        wrappers: list[Callable[[CellFunction], CellFunction]] = []
        if any(self.zoneout):
            wrappers.append(partial(with_zoneout, probabilities=self.zoneout, training=self.training))
        if self.recorder is not None:
            wrappers.append(self.recorder.recording)
        return scan_layer(self.cell, x, mask, state, weights, wrappers)

    def start(self, x: Tensor, state: State | None) -> State:
        """Return the initial state, [layers * directions, batch, hidden] each."""
        if state is None:
            if self.initial_state is None:
                return (x.new_zeros(self.num_layers * self.directions, x.shape[0], self.hidden_size),) * self.num_states
            learned = self.initial_state.expand(-1, -1, x.shape[0], -1).unbind()
            state = learned + (torch.zeros_like(learned[0]),) * (self.num_states - len(learned))
        shape = (self.num_layers, x.shape[0], self.output_size)
        if not isinstance(state, tuple) or [tensor.shape for tensor in state] != [shape] * self.num_states:
            raise ValueError(f"state must be a tuple of {self.num_states} tensors {list(shape)} for this stack")
        return tuple(split_directions(tensor, self.directions) for tensor in state)

    def extra_repr(self) -> str:
        """Return the description that print shows."""
        parts = [self.cell_name, f"{self.input_size} -> {self.output_size}", f"num_layers={self.num_layers}"]
        return ", ".join([*parts, f"directions={self.directions}", f"backend={self.backend}"])


def _flatten_after_loading(stack: RecurrentStack, _: object) -> None:
    # load_state_dict(assign=True) replaces the weights by other tensors.
    stack.flatten_parameters()


def _weight_name(name: str, layer: int, direction: int) -> str:
    """Return the name of a weight as in torch.nn's recurrent modules: `weight_ih_l1_reverse`."""
    return f"{name}_l{layer}" + "_reverse" * direction
