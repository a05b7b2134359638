"""The batch types that pass from data to tasks."""

from typing import NamedTuple

from torch import Tensor


class LabeledSequences(NamedTuple):
    """Sequences of one length, each with its class."""

    inputs: Tensor
    """float [batch, time, features]"""
    labels: Tensor
    """int64 [batch]"""


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
