"""Encodings: samples as a user has them become inputs of a network, without a data module and without Lightning.

`encoding_of` returns the encoding of a run from its config and its checkpoint. It is also plain values, for a program
in another language that reads an exported network.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from importlib import import_module
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor

from rnnexp.data.batches import TargetUnits

ENCODINGS = {
    "rnnexp.data.images.mnist.MNISTDataModule": "rnnexp.data.images.encoding:ImageEncoding",
    "rnnexp.data.sequences.module.SequencesDataModule": "rnnexp.data.sequences.encoding:SequenceEncoding",
}
"""Class of a data module, as `_target_` names it -> class of its encoding; others have `PlainEncoding`."""


class Inputs(NamedTuple):
    """The arguments of a network."""

    inputs: Tensor
    """float32 [batch, time, features]"""
    lengths: Tensor | None
    """int64 [batch] on the CPU; None if all sequences have `time` steps"""


class Encoding(ABC):
    """How samples become inputs, and what the outputs mean.

    Attributes:
        classes: the labels of the classes as the data write them; None if the data name none.
        units: the units of the numbers to predict; None if the data name none.
    """

    kind: ClassVar[str]
    classes: list[int] | list[str] | None = None
    units: TargetUnits | None = None

    @classmethod
    @abstractmethod
    def from_state(cls, options: Mapping[str, Any], state: Any) -> "Encoding":  # noqa: ANN401 (of its data module)
        """Return the encoding of a run.

        Args:
            options: the config group `data`.
            state: the state of the data module in a checkpoint; None if it has none.

        Raises:
            KeyError, TypeError, ValueError: for values that no data have.
        """

    @abstractmethod
    def encode(self, samples: Any) -> Inputs:  # noqa: ANN401 (an array, a tensor or a list of them)
        """Return the inputs of a network for a batch of samples."""

    @abstractmethod
    def encode_step(self, values: Any) -> Tensor:  # noqa: ANN401 (an array or a tensor)
        """Return the inputs for one step of each sequence, float32 [batch, features]."""

    def to_plain(self, time: int, features: int) -> dict[str, Any]:  # noqa: ARG002
        """Return everything that a program needs to encode samples, as plain values.

        Args:
            time, features: the shape of the inputs of a sequence.
        """
        return {"kind": self.kind}


class PlainEncoding(Encoding):
    """The encoding of data that are generated, or of a data module of the user: samples are inputs already."""

    kind = "none"

    @classmethod
    def from_state(cls, options: Mapping[str, Any], state: Any) -> "PlainEncoding":  # noqa: ANN401, ARG003
        return cls()

    def encode(self, samples: Any) -> Inputs:  # noqa: ANN401
        """Return samples float [batch, time, features] as inputs."""
        return Inputs(torch.as_tensor(samples, dtype=torch.float32), None)

    def encode_step(self, values: Any) -> Tensor:  # noqa: ANN401
        return torch.as_tensor(values, dtype=torch.float32)


def encoding_of(options: Mapping[str, Any], checkpoint: Mapping[str, Any]) -> Encoding:
    """Return the encoding of a run.

    Args:
        options: the config group `data`.
        checkpoint: the content of a checkpoint.

    Raises:
        KeyError, TypeError, ValueError: for a checkpoint without the values, or with values that no data have.
    """
    target = str(options["_target_"])
    kind: type[Encoding] = PlainEncoding
    if target in ENCODINGS:
        module, _, name = ENCODINGS[target].partition(":")
        kind = getattr(import_module(module), name)
    # Lightning saves the state of a data module under the name of its class.
    return kind.from_state(options, checkpoint.get(target.rpartition(".")[2]))
