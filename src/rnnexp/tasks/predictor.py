"""Trained networks that answer questions: the base classes of what `rnnexp.load` returns.

Nothing here imports Lightning, Hydra or W&B, so that a trained network starts fast and runs anywhere.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple, Self

import torch
from torch import Tensor, nn

from rnnexp.data.encoding import Encoding, Inputs, encoding_of
from rnnexp.models import SequenceNetwork, StepwiseNetwork
from rnnexp.models.stepwise import Stream
from rnnexp.recurrent import RecurrentStack


class RecordedNetwork(NamedTuple):
    """The record of a network in its run, with which a predictor builds it again."""

    make_stack: Callable[..., RecurrentStack]
    """`input_size=` -> RecurrentStack"""
    task: Mapping[str, Any]
    """the arguments of the task, as values and functions"""
    data: Mapping[str, Any]
    """the config group `data`"""
    checkpoint: Mapping[str, Any]
    """the content of the checkpoint"""

    @property
    def facts(self) -> Mapping[str, Any]:
        """The choices and sizes of the model, see `Task.model_info`."""
        facts: Mapping[str, Any] = self.checkpoint["rnnexp"]
        return facts


class Predictor(ABC):
    """A trained network with what turns samples into its inputs, and its outputs into answers.

    Attributes:
        module: the network, in evaluation mode.
    """

    module: nn.Module

    @classmethod
    @abstractmethod
    def of_record(cls, record: RecordedNetwork) -> Self:
        """Return the predictor of a run, with new weights."""

    @property
    def device(self) -> torch.device:
        """The device of the network."""
        return next(self.module.parameters()).device


class SequencePredictor(Predictor):
    """A predictor for sequences.

    Args:
        module: the network.
        encoding: turns samples into the inputs of the network.
    """

    module: SequenceNetwork

    def __init__(self, module: SequenceNetwork, encoding: Encoding) -> None:
        self.module, self.encoding = module, encoding

    @classmethod
    def of_record(cls, record: RecordedNetwork) -> Self:
        return cls(cls.network_of(record), encoding_of(record.data, record.checkpoint))

    @staticmethod
    @abstractmethod
    def network_of(record: RecordedNetwork) -> SequenceNetwork:
        """Return the network of a run, with new weights."""

    def encode(self, samples: Any) -> Inputs:  # noqa: ANN401 (an array, a tensor or a list of them)
        """Return the inputs of the network for a batch of samples, see the encoding of the data.

        Args:
            samples: images, bytes [batch, height, width]; sequences, numbers in the units of the data [batch, time,
                features], or a list of [time, features]; for other data the inputs themselves.
        """
        inputs, lengths = self.encoding.encode(samples)
        return Inputs(inputs.to(self.device), lengths)

    @torch.no_grad()
    def outputs(self, samples: Any) -> Tensor:  # noqa: ANN401
        """Return the outputs of the network for samples: logits, or numbers in standard units.

        Returns:
            [batch, outputs], or [batch, time, outputs] of a network that answers at each step.
        """
        outputs: Tensor = self.module(*self.encode(samples))
        return outputs

    def predict(self, samples: Any) -> Any:  # noqa: ANN401
        """Return the answer for each sample, see `encode` and `decode`; of an answer per step, one of each step."""
        inputs, lengths = self.encode(samples)
        with torch.no_grad():
            answers = self.decode(self.module(inputs, lengths))
        if lengths is None or not isinstance(self.module, StepwiseNetwork):
            return answers
        return [each[:length] for each, length in zip(answers, lengths.tolist(), strict=True)]

    @abstractmethod
    def decode(self, outputs: Tensor) -> Any:  # noqa: ANN401
        """Return the answers for outputs of the network [..., outputs]."""

    def start(self) -> Stream:
        """Return the state before the first step of `step`.

        Raises:
            ValueError: for a network that reads sequences in both directions.
        """
        if self.module.stack.bidirectional:
            raise ValueError("this network reads sequences in both directions, so it needs them whole: use predict")
        return Stream()

    @torch.no_grad()
    def step(self, x: Any, state: Stream) -> tuple[Tensor, Stream]:  # noqa: ANN401
        """Give the network one step of each sequence.

        Args:
            x: the features of the step, [batch, features] in the form of `encode`: a row of pixels, or numbers in the
                units of the data.
            state: what the step before has returned, or `start()`.

        Returns:
            The outputs for the sequences up to this step [batch, outputs], for `decode`, and the next state. After the
            last step they are those of the whole sequence.
        """
        return self.module.step(self.encoding.encode_step(x).to(self.device), state)


class ClassPredictor(SequencePredictor):
    """A predictor of classes."""

    @property
    def classes(self) -> list[int] | list[str]:
        """The label of each class, in the order of the outputs."""
        return self.encoding.classes or list(range(self.module.head.out_features))

    def probabilities(self, samples: Any) -> Tensor:  # noqa: ANN401
        """Return the probability of each class, [batch, classes] or [batch, time, classes]."""
        return self.outputs(samples).float().softmax(dim=-1)

    def decode(self, outputs: Tensor) -> Any:  # noqa: ANN401
        """Return the label of the class with the largest output, in nested lists if there are several axes."""
        return self._labels(outputs.argmax(dim=-1).tolist())

    def _labels(self, places: Any) -> Any:  # noqa: ANN401
        return [self._labels(each) for each in places] if isinstance(places, list) else self.classes[places]
