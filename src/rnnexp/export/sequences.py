"""The graph of a network that answers for a sequence, or at each of its steps."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from rnnexp.export.parts import Export, Part, Run
from rnnexp.export.stack import RunLayer, TraceableStack
from rnnexp.models import SequenceNetwork, StepwiseNetwork
from rnnexp.models.stepwise import Stream
from rnnexp.tasks.predictor import ClassPredictor, SequencePredictor


class SequenceGraph(nn.Module):
    """A network with the state of its stack as argument and as result.

    Args:
        network: the network.
        run_layer: runs a layer of its stack.
    """

    def __init__(self, network: SequenceNetwork, run_layer: RunLayer) -> None:
        super().__init__()
        self.network = network
        self.stack = TraceableStack(network.stack, run_layer)

    def forward(self, inputs: Tensor, lengths: Tensor, *state: Tensor) -> tuple[Tensor, ...]:
        """Return the outputs and the final state. A network of two directions has no state: it reads whole sequences.

        Args:
            inputs: [batch, time, features].
            lengths: int64 [batch], from 1 to time.
            state: the initial state, [layers, batch, hidden] each.
        """
        outputs, final = self.stack(inputs, lengths, state or None)
        answers = self.network.read_out(outputs, final, lengths)
        return (answers, *final) if state else (answers,)


class SequenceExport(Export):
    """The export of a classifier, a tagger or a regressor."""

    predictor: SequencePredictor

    def parts(self, run_layer: RunLayer) -> list[Part]:
        network = deepcopy(self.predictor.module)
        stack = network.stack
        # Sizes that differ from the number of layers and directions, with which torch.export would identify them.
        batch, time = 5, 7
        state = self._initial_state(batch)
        axes: dict[str, Sequence[int | str]] = {"inputs": ("batch", "time", stack.input_size), "lengths": ("batch",)}
        states = {f"state_{number}": (stack.num_layers, "batch", stack.hidden_size) for number in range(len(state))}
        per_step = isinstance(network, StepwiseNetwork)
        outputs = ("batch", "time", network.head.out_features) if per_step else ("batch", network.head.out_features)
        inputs = torch.zeros(batch, time, stack.input_size)
        return [
            Part(
                "model",
                SequenceGraph(network, run_layer).eval(),
                (inputs, time - torch.arange(batch), *state),
                {**axes, **states},
                {"outputs": outputs, **{f"next_{name}": shape for name, shape in states.items()}},
            )
        ]

    def stand_in(self, runs: Mapping[str, Run]) -> nn.Module:
        return ExportedNetwork(runs["model"], self)

    def small(self, batch: Any, size: int, time: int) -> tuple[Any, ...]:  # noqa: ANN401
        inputs = batch.inputs[:size, :time].cpu()
        lengths = torch.full((len(inputs),), time) if batch.lengths is None else batch.lengths[:size].clamp(max=time)
        # Padding, which batches of one length do not have.
        lengths[1:] = (lengths[1:] - 1).clamp(min=1)
        return inputs, lengths

    def time_of(self, batch: Any) -> int:  # noqa: ANN401
        return int(batch.inputs.shape[1])

    def description(self, batch: Any) -> dict[str, Any]:  # noqa: ANN401
        predictor, (_, time, features) = self.predictor, batch.inputs.shape
        units = predictor.encoding.units
        initial = [tensor[:, 0].tolist() for tensor in self._initial_state(1)]
        return {
            "encoding": predictor.encoding.to_plain(time, features),
            "classes": predictor.classes if isinstance(predictor, ClassPredictor) else None,
            "units": None if units is None else {name: list(each) for name, each in units._asdict().items()},
            "initial_state": {f"state_{number}": values for number, values in enumerate(initial)},
        }

    def _initial_state(self, batch: int) -> tuple[Tensor, ...]:
        """Return the state before the first step, [layers, batch, hidden] each; none for two directions."""
        stack = self.predictor.module.stack
        if stack.bidirectional:
            return ()
        with torch.no_grad():
            return tuple(tensor.clone() for tensor in stack.start(torch.zeros(batch, 1, stack.input_size), None))


class ExportedNetwork(nn.Module):
    """A network that runs its exported graph.

    Args:
        run: runs the graph.
        export: has the network.
    """

    def __init__(self, run: Run, export: SequenceExport) -> None:
        super().__init__()
        self._run, self._initial = run, export._initial_state(1)

    def forward(self, inputs: Tensor, lengths: Tensor | None = None) -> Tensor:
        """Return the outputs for a batch, see `SequenceNetwork.forward`."""
        if lengths is None:
            lengths = torch.full((len(inputs),), inputs.shape[1])
        state = [tensor.expand(-1, len(inputs), -1) for tensor in self._initial]
        return self._run(inputs.cpu(), lengths, *state)[0].to(inputs.device)

    def step(self, x: Tensor, stream: Stream) -> tuple[Tensor, Stream]:
        """Take one step, see `SequenceNetwork.step`. Poolings over time are over this step alone."""
        state = stream.state or [tensor.expand(-1, len(x), -1) for tensor in self._initial]
        outputs, *after = self._run(x.unsqueeze(1), torch.ones(len(x), dtype=torch.int64), *state)
        return outputs.flatten(0, -2), Stream(tuple(after), None, stream.num_steps + 1)
