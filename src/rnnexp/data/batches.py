"""The batch types that pass from data to tasks."""

from collections.abc import Sequence
from typing import NamedTuple

from torch import Tensor

NO_LABEL = -100
"""The label of a step without a class: past the end of its sequence, or one that is not scored."""


class LabeledSequences(NamedTuple):
    """Sequences, each with its class."""

    inputs: Tensor
    """float [batch, time, features]"""
    labels: Tensor
    """int64 [batch]"""
    lengths: Tensor | None = None
    """int64 [batch], always on the CPU, where packing needs it; None if all sequences have `time` steps"""


class TaggedSequences(NamedTuple):
    """Sequences with a class at each step."""

    inputs: Tensor
    """float [batch, time, features]"""
    labels: Tensor
    """int64 [batch, time], NO_LABEL where a step has no class"""
    lengths: Tensor | None = None
    """int64 [batch], always on the CPU; None if all sequences have `time` steps"""


class TargetUnits(NamedTuple):
    """The names of the numbers that a regression predicts, and what standardized targets were computed with.

    A target of a batch is `(value in the units of the data - mean) / std`.
    """

    names: Sequence[str]
    mean: Sequence[float]
    std: Sequence[float]


class MeasuredSequences(NamedTuple):
    """Sequences, each with a vector of numbers, or with one at each step."""

    inputs: Tensor
    """float [batch, time, features]"""
    targets: Tensor
    """float [batch, targets], or [batch, time, targets] with any finite value past a sequence's end"""
    lengths: Tensor | None = None
    """int64 [batch], always on the CPU; None if all sequences have `time` steps"""


class TranslationBatch(NamedTuple):
    """Sentence pairs as token ids."""

    source: Tensor
    """int64 [batch, source_time], each sentence ended by EOS, then PAD"""
    source_lengths: Tensor
    """int64 [batch], EOS included, always on the CPU, where packing needs it"""
    target: Tensor
    """int64 [batch, target_time], BOS, the sentence, EOS, then PAD"""
    target_lengths: Tensor
    """int64 [batch], BOS and EOS included, always on the CPU"""
    indices: Tensor
    """int64 [batch], the indices of the pairs in the split, always on the CPU"""
