"""Dropout of whole words."""

import torch
from torch import Tensor, nn

from rnnexp.core.validation import require_fraction
from rnnexp.text.vocabulary import SPECIAL_TOKENS, UNK


class WordDropout(nn.Module):
    """Dropout of words, which are replaced by the unknown word (Bowman et al., 2016, arXiv:1511.06349, section 3.1).

    It trains the embedding of the unknown word even if the training text has none. Padding, BOS and EOS are never
    replaced.

    Args:
        dropout: probability of replacing a word.

    Raises:
        ValueError: for a probability outside [0, 1).
    """

    def __init__(self, dropout: float) -> None:
        super().__init__()
        require_fraction(word_dropout=dropout)
        self.dropout = dropout

    def forward(self, tokens: Tensor) -> Tensor:
        """Return tokens int64 [batch, time], in training with some words replaced."""
        if not self.training or self.dropout == 0:
            return tokens
        dropped = torch.rand(tokens.shape, device=tokens.device) < self.dropout
        return tokens.masked_fill(dropped & (tokens >= len(SPECIAL_TOKENS)), UNK)

    def extra_repr(self) -> str:
        """Return the description that print shows."""
        return f"{self.dropout}"
