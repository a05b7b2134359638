"""The batch types that pass from data to tasks."""

from typing import NamedTuple

from torch import Tensor


class LabelledSequences(NamedTuple):
    """Sequences of one length, each with its class."""

    inputs: Tensor
    """float [batch, time, features]"""
    labels: Tensor
    """int64 [batch]"""
