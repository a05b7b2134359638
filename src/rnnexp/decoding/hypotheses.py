"""The result of a search, the limits of translations, and the score."""

import math
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from rnnexp.core.validation import require_positive
from rnnexp.text.vocabulary import BOS, EOS, PAD, UNK


class Hypotheses(NamedTuple):
    """Translations of a batch of sentences, the best of each sentence first."""

    tokens: Tensor
    """int64 [batch, n_best, time], without BOS, each ended by EOS, then PAD"""
    scores: Tensor
    """[batch, n_best], log-probability divided by length ** length_penalty; -inf, with tokens all PAD, where a sentence
    has fewer hypotheses"""


@dataclass(frozen=True)
class Limits:
    """The allowed lengths and tokens of translations. Lengths do not count EOS.

    Args:
        min_length: the minimum length; a smaller maximum length takes precedence.
        max_ratio, max_extra: the maximum length is max_ratio * source length + max_extra, rounded down; the source
            length includes EOS. The limit depends only on the sentence, not on its batch.
        unknown: whether the unknown word is allowed.

    Raises:
        ValueError: for negative numbers.
    """

    min_length: int = 0
    max_ratio: float = 2.0
    max_extra: int = 10
    unknown: bool = False

    def __post_init__(self) -> None:
        for name in ("min_length", "max_ratio", "max_extra"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must not be negative, not {getattr(self, name)!r}")

    def longest(self, source_lengths: Tensor) -> Tensor:
        """Return the maximum length of each translation, int64 [batch], from the lengths of the sources."""
        return (source_lengths * self.max_ratio + self.max_extra).long()

    def apply(self, log_probs: Tensor, length: int, longest: Tensor) -> Tensor:
        """Set the log-probabilities of tokens that are not allowed next to -inf.

        They are not normalized afterwards, so the score of a hypothesis is that of the model. A translation of the
        maximum length must end, so every hypothesis is complete and its score includes EOS.

        Args:
            log_probs: [batch, hypotheses, vocab]; changed in place.
            length: the number of tokens so far.
            longest: the maximum lengths, int64 [batch] on the same device.
        """
        for token in (PAD, BOS) if self.unknown else (PAD, BOS, UNK):
            log_probs[..., token] = -torch.inf
        at_end = (length >= longest).view(-1, 1, 1)
        only_end = torch.ones(log_probs.shape[2], dtype=torch.bool, device=log_probs.device)
        only_end[EOS] = False
        log_probs.masked_fill_(at_end & only_end, -torch.inf)
        if length < self.min_length:
            log_probs[..., EOS].masked_fill_(~at_end.squeeze(2), -torch.inf)
        return log_probs


def score(log_prob: Tensor, length: Tensor | int, length_penalty: float) -> Tensor:
    """Return log-probability / length ** length_penalty. With a penalty of 1 it is the mean per token.

    A penalty of 0 favors short translations. The length includes EOS. The power is that of Wu et al. (2016,
    arXiv:1609.08144, section 7), "length ** alpha".
    """
    return log_prob / length**length_penalty


def require_length_penalty(length_penalty: float) -> None:
    """Raise ValueError for a penalty that is not a number of at least 0 and below infinity."""
    is_number = isinstance(length_penalty, int | float) and not isinstance(length_penalty, bool)
    if not is_number or not 0 <= length_penalty < math.inf:
        raise ValueError(f"length_penalty must be a number of at least 0, not {length_penalty!r}")


def require_search(beam_size: int, n_best: int, length_penalty: float) -> None:
    """Raise ValueError for sizes below 1, `n_best` above `beam_size`, and an invalid length penalty."""
    require_positive(beam_size=beam_size, n_best=n_best)
    require_length_penalty(length_penalty)
    if n_best > beam_size:
        raise ValueError(f"a beam of {beam_size} cannot return {n_best} hypotheses: raise beam_size or lower n_best")
