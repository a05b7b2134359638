"""The encoding of sequences in arrays as inputs of a network."""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rnnexp.data.encoding import Encoding, Inputs
from rnnexp.data.sequences.preprocessing import Preprocessing, standardized


class SequenceEncoding(Encoding):
    """The encoding of sequences of numbers: a standardization, and what stands for a missing value.

    Args:
        preprocessing: the standardization, and the classes or the units of the targets.
        missing: `refuse` missing values, or `mask` them.
    """

    kind = "sequence"

    def __init__(self, preprocessing: Preprocessing, missing: str) -> None:
        self.preprocessing, self.missing = preprocessing, missing
        self.classes, self.units = preprocessing.classes, preprocessing.units

    @classmethod
    def from_state(cls, options: Mapping[str, Any], state: Any) -> "SequenceEncoding":  # noqa: ANN401
        return cls(Preprocessing.from_state(state), options["missing"])

    def encode(self, samples: Any) -> Inputs:  # noqa: ANN401
        """Return the inputs for sequences of any lengths.

        Args:
            samples: an array [batch, time, features], or a list of arrays [time, features]; at least one.

        Raises:
            ValueError: without a sequence, and for one that does not fit.
        """
        if len(samples) == 0:
            raise ValueError("there is no sequence: give at least one")
        encoded = [self.encode_step(sample) for sample in samples]
        lengths = torch.tensor([len(each) for each in encoded])
        are_equal = len(set(lengths.tolist())) == 1
        return Inputs(pad_sequence(encoded, batch_first=True), None if are_equal else lengths)

    def encode_step(self, values: Any) -> Tensor:  # noqa: ANN401
        """Return the inputs for values in the units of the data, [batch, features]; NaN is a missing value."""
        array = np.asarray(values, dtype=np.float64)
        number = len(self.preprocessing.mean)
        if array.ndim != 2 or array.shape[1] != number:
            raise ValueError(f"a sequence must be numbers [time, features={number}], not {list(array.shape)}")
        if self.missing == "refuse" and not np.isfinite(array).all():
            raise ValueError("a value is missing or infinite: fill it, or train with data.missing=mask")
        inputs = standardized(array, self.preprocessing, self.missing)
        if not inputs.isfinite().all():
            raise ValueError("a value is infinite, or too large: correct it")
        return inputs

    def to_plain(self, time: int, features: int) -> dict[str, Any]:
        known = self.preprocessing
        names = None if known.features is None else list(known.features)
        plain = {"features": names, "mean": known.mean, "std": known.std, "missing": self.missing}
        return super().to_plain(time, features) | plain
