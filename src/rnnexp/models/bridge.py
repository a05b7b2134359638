"""Bridges: the initial state of a decoder from the encoder's final states, from its mean annotation, or zero.

Encoder and decoder may differ in cell, depth, width and direction. Each kind of state tensor (h, and c of an LSTM) has
its own projection, from all layers of the encoder to all layers of the decoder.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable

import torch
from torch import Tensor, nn

from rnnexp.recurrent import RecurrentStack, State


class Bridge(nn.Module, ABC):
    """The base class of bridges: a tanh projection for each kind of state, split into the decoder's layers.

    Args:
        encoder: the stack of the encoder.
        num_layers: layers of the decoder.
        hidden_size: features of the decoder's h.
        num_states: tensors in the state of the decoder's cell.
    """

    def __init__(self, encoder: RecurrentStack, num_layers: int, hidden_size: int, num_states: int) -> None:
        super().__init__()
        self.num_layers, self.hidden_size, self.num_states = num_layers, hidden_size, num_states
        sizes = self.input_sizes(encoder)
        self.projections = nn.ModuleList(nn.Linear(size, num_layers * hidden_size) for size in sizes)

    @abstractmethod
    def input_sizes(self, encoder: RecurrentStack) -> list[int]:
        """Return the number of input features of each projection."""

    @abstractmethod
    def inputs(self, annotations: Tensor, mask: Tensor, final: State) -> list[Tensor]:
        """Return the input of each projection, [batch, features] each. Arguments: see `forward`."""

    def forward(self, annotations: Tensor, mask: Tensor, final: State) -> State:
        """Compute the initial state of the decoder.

        Args:
            annotations: [batch, source_time, annotation_size], zero outside the mask.
            mask: True at positions of the source, bool [batch, source_time].
            final: the encoder's final state, [layers, batch, directions * hidden] each.

        Returns:
            The state, [batch, hidden] each: all tensors of the bottom layer, then of the next.
        """
        inputs = self.inputs(annotations, mask, final)
        kinds = [torch.tanh(project(x)) for project, x in zip(self.projections, inputs, strict=True)]
        by_layer = [kind.view(kind.shape[0], self.num_layers, -1).unbind(1) for kind in kinds]
        return tuple(tensor.contiguous() for layer in zip(*by_layer, strict=True) for tensor in layer)


class FinalStates(Bridge):
    """A bridge that projects the final states of every layer and direction: h from h, c from c.

    If the decoder's cell has more state tensors than the encoder's, the additional ones are projected from the last.
    """

    def input_sizes(self, encoder: RecurrentStack) -> list[int]:
        return [encoder.num_layers * encoder.output_size] * self.num_states

    def inputs(self, annotations: Tensor, mask: Tensor, final: State) -> list[Tensor]:  # noqa: ARG002
        by_kind = [tensor.transpose(0, 1).flatten(1) for tensor in final]
        return [by_kind[min(kind, len(final) - 1)] for kind in range(self.num_states)]


class MeanAnnotation(Bridge):
    """A bridge that projects the mean annotation, as in the networks of LIUM-CVC and Nematus."""

    def input_sizes(self, encoder: RecurrentStack) -> list[int]:
        return [encoder.output_size] * self.num_states

    def inputs(self, annotations: Tensor, mask: Tensor, final: State) -> list[Tensor]:  # noqa: ARG002
        mean = annotations.sum(dim=1) / mask.sum(dim=1, keepdim=True)
        return [mean] * self.num_states


class Zero(Bridge):
    """A bridge that returns zeros: the decoder then depends on the source only through attention."""

    def input_sizes(self, encoder: RecurrentStack) -> list[int]:  # noqa: ARG002
        return []

    def inputs(self, annotations: Tensor, mask: Tensor, final: State) -> list[Tensor]:  # noqa: ARG002
        return []

    def forward(self, annotations: Tensor, mask: Tensor, final: State) -> State:  # noqa: ARG002
        zeros = annotations.new_zeros(annotations.shape[0], self.hidden_size)
        return (zeros,) * (self.num_layers * self.num_states)


BRIDGES: dict[str, Callable[..., Bridge]] = {"final": FinalStates, "mean": MeanAnnotation, "zero": Zero}
