"""Dropout of features of sequences, with a mask per step or per sequence."""

from torch import Tensor, nn
from torch.nn import functional

from rnnexp.core.validation import require_fraction


class SequenceDropout(nn.Module):
    """Dropout on features [batch, time, features].

    Args:
        dropout: probability of zeroing a feature.
        time_tied: whether one mask per sequence is used at every step (Gal & Ghahramani, 2016, arXiv:1512.05287).

    Raises:
        ValueError: for a probability outside [0, 1).
    """

    def __init__(self, dropout: float, time_tied: bool) -> None:
        super().__init__()
        require_fraction(dropout=dropout)
        self.dropout, self.time_tied = dropout, time_tied

    def mask(self, x: Tensor, time: int, features: int) -> Tensor | None:
        """Return the mask of a whole sequence [batch, time, features], for use step by step.

        It is None if nothing is dropped. Batch, type and device are those of x [batch, ...].
        """
        if not self.training or self.dropout == 0:
            return None
        # The mask must not depend on the memory layout of x, which differs between backends.
        ones = x.new_ones(len(x), 1 if self.time_tied else time, features)
        return functional.dropout(ones, self.dropout).expand(-1, time, -1)

    def forward(self, x: Tensor, mask: Tensor | None = None) -> Tensor:
        """Return x [batch, time, features], in training multiplied by the mask, or by a new one if it is None."""
        if mask is None:
            mask = self.mask(x, *x.shape[1:])
        return x if mask is None else x * mask

    def extra_repr(self) -> str:
        """Return the description that print shows."""
        return f"{self.dropout}, time_tied={self.time_tied}"
