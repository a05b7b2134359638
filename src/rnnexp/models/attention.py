"""Attention: one weight per source position for each step of a decoder, and the weighted sum of the annotations.

The modules have no state. The keys depend only on the source and are projected once per sentence; all steps of all
queries are then computed with one batched product.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn

MOST_NUMBERS = 2**26
"""The numbers of [batch, target_time, source_time, key_size] that are computed at once without gradients."""


class Attention(nn.Module, ABC):
    """The base class of attention. Subclasses compute the scores.

    Args:
        query_size: features of a query, the decoder's hidden size.
        annotation_size: features of an annotation, the encoder's output size.

    Attributes:
        has_weights: whether the weights depend on the queries, so that they are an alignment.
    """

    has_weights: ClassVar[bool] = True

    def __init__(self, query_size: int, annotation_size: int) -> None:
        super().__init__()
        self.query_size, self.annotation_size = query_size, annotation_size

    def project(self, annotations: Tensor) -> Tensor:
        """Return keys [batch, source_time, key_size] of annotations [batch, source_time, annotation_size]."""
        return annotations

    @abstractmethod
    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Return scores [batch, target_time, source_time] of queries [batch, target_time, query_size] and keys."""

    def forward(self, queries: Tensor, keys: Tensor, annotations: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Compute contexts and attention weights.

        Args:
            queries: [batch, target_time, query_size].
            keys: [batch, source_time, key_size], the projected annotations.
            annotations: [batch, source_time, annotation_size].
            mask: True at positions of the source, bool [batch, source_time], at least one in each row.

        Returns:
            Contexts [batch, target_time, annotation_size] and weights [batch, target_time, source_time], which sum to
            one and are exactly zero outside the mask at any precision.
        """
        scores = self.score(queries, keys).masked_fill(~mask.unsqueeze(1), -torch.inf)
        weights = scores.softmax(dim=2).to(annotations.dtype)  # autocast computes the softmax in single precision
        return torch.bmm(weights, annotations), weights


class AdditiveAttention(Attention):
    """Additive attention: v · tanh(W q + U a + b) (Bahdanau, Cho & Bengio, 2015, arXiv:1409.0473, A.1.2)."""

    def __init__(self, query_size: int, annotation_size: int) -> None:
        super().__init__(query_size, annotation_size)
        self.query = nn.Linear(query_size, query_size, bias=False)
        self.key = nn.Linear(annotation_size, query_size)
        self.energy = nn.Linear(query_size, 1, bias=False)

    def project(self, annotations: Tensor) -> Tensor:
        keys: Tensor = self.key(annotations)
        return keys

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        projected = self.query(queries)
        if torch.is_grad_enabled() or projected.shape[1] == 1:
            return self._energies(projected, keys)
        # A long sentence makes a large tensor. With gradients all of it would be kept in any case.
        steps = max(1, MOST_NUMBERS // keys.numel())
        return torch.cat([self._energies(part, keys) for part in projected.split(steps, dim=1)], dim=1)

    def _energies(self, projected: Tensor, keys: Tensor) -> Tensor:
        energies: Tensor = self.energy(torch.tanh(projected.unsqueeze(2) + keys.unsqueeze(1)))
        return energies.squeeze(3)


class GeneralAttention(Attention):
    """General attention: q · W a (Luong, Pham & Manning, 2015, arXiv:1508.04025, section 3.1)."""

    def __init__(self, query_size: int, annotation_size: int) -> None:
        super().__init__(query_size, annotation_size)
        self.key = nn.Linear(annotation_size, query_size, bias=False)

    def project(self, annotations: Tensor) -> Tensor:
        keys: Tensor = self.key(annotations)
        return keys

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(queries, keys.transpose(1, 2))


class DotAttention(Attention):
    """Dot-product attention: q · a (Luong, Pham & Manning, 2015, arXiv:1508.04025, section 3.1).

    Raises:
        ValueError: unless queries and annotations have the same size.
    """

    def __init__(self, query_size: int, annotation_size: int) -> None:
        super().__init__(query_size, annotation_size)
        if query_size != annotation_size:
            raise ValueError(
                f"dot attention needs a decoder with the size of the encoder's outputs, not {query_size} and "
                f"{annotation_size}: use attention=general, or change the sizes"
            )

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(queries, keys.transpose(1, 2))


class FixedContext(Attention):
    """No attention: the context is the mean annotation at every step, with equal weights for all positions.

    The network is then an encoder-decoder without attention. In that of Cho et al. (2014, arXiv:1406.1078) the context
    is the last state, which here only the bridge passes to the decoder.
    """

    has_weights: ClassVar[bool] = False

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        return queries.new_zeros(queries.shape[0], queries.shape[1], keys.shape[1])


ATTENTIONS: dict[str, type[Attention]] = {
    "additive": AdditiveAttention,
    "general": GeneralAttention,
    "dot": DotAttention,
    "none": FixedContext,
}
