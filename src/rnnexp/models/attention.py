"""Attention: one weight per source position for each step of a decoder, and the weighted sum of the annotations.

The modules keep nothing between calls. The keys depend on the source alone and are projected once per sentence; all
steps of all queries are then computed in one batched product.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import torch
from torch import Tensor, nn


class Attention(nn.Module, ABC):
    """A kind of attention. The mask, the softmax and the weighted sum are common to all kinds.

    Args:
        query_size: features of a query, the decoder's hidden size.
        annotation_size: features of an annotation, the encoder's output size.

    Attributes:
        has_weights: whether the weights depend on the queries, so that they can be shown as an alignment.
    """

    has_weights: ClassVar[bool] = True

    def __init__(self, query_size: int, annotation_size: int) -> None:
        super().__init__()
        self.query_size, self.annotation_size = query_size, annotation_size

    def project(self, annotations: Tensor) -> Tensor:
        """Annotations [batch, source_time, annotation_size] -> keys [batch, source_time, key_size]."""
        return annotations

    @abstractmethod
    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        """Queries [batch, target_time, query_size] against keys -> scores [batch, target_time, source_time]."""

    def forward(self, queries: Tensor, keys: Tensor, annotations: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """Attend.

        Args:
            queries: [batch, target_time, query_size].
            keys: [batch, source_time, key_size], the projected annotations.
            annotations: [batch, source_time, annotation_size].
            mask: which positions belong to the source, bool [batch, source_time], at least one in each row.

        Returns:
            contexts [batch, target_time, annotation_size] and weights [batch, target_time, source_time], which add up
            to one and are exactly zero outside the mask at any precision.
        """
        scores = self.score(queries, keys).masked_fill(~mask.unsqueeze(1), -torch.inf)
        weights = scores.softmax(dim=2).to(annotations.dtype)  # autocast takes the softmax in single precision
        return torch.bmm(weights, annotations), weights


class AdditiveAttention(Attention):
    """v · tanh(W q + U a + b) (Bahdanau, Cho & Bengio, 2015, arXiv:1409.0473, A.1.2)."""

    def __init__(self, query_size: int, annotation_size: int) -> None:
        super().__init__(query_size, annotation_size)
        self.query = nn.Linear(query_size, query_size, bias=False)
        self.key = nn.Linear(annotation_size, query_size)
        self.energy = nn.Linear(query_size, 1, bias=False)

    def project(self, annotations: Tensor) -> Tensor:
        keys: Tensor = self.key(annotations)
        return keys

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        energies: Tensor = self.energy(torch.tanh(self.query(queries).unsqueeze(2) + keys.unsqueeze(1)))
        return energies.squeeze(3)


class GeneralAttention(Attention):
    """q · W a (Luong, Pham & Manning, 2015, arXiv:1508.04025, section 3.1)."""

    def __init__(self, query_size: int, annotation_size: int) -> None:
        super().__init__(query_size, annotation_size)
        self.key = nn.Linear(annotation_size, query_size, bias=False)

    def project(self, annotations: Tensor) -> Tensor:
        keys: Tensor = self.key(annotations)
        return keys

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(queries, keys.transpose(1, 2))


class DotAttention(Attention):
    """q · a (Luong, Pham & Manning, 2015, arXiv:1508.04025, section 3.1).

    Raises:
        ValueError: unless queries and annotations have the same size.
    """

    def __init__(self, query_size: int, annotation_size: int) -> None:
        super().__init__(query_size, annotation_size)
        if query_size != annotation_size:
            raise ValueError(
                f"dot attention needs a decoder as wide as the encoder's outputs, not {query_size} and "
                f"{annotation_size}: use attention=general, or fit the sizes"
            )

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        return torch.bmm(queries, keys.transpose(1, 2))


class FixedContext(Attention):
    """No attention: the context is the mean annotation at every step, with equal weights for all positions.

    The network is then the encoder-decoder without attention (Cho et al., 2014, arXiv:1406.1078, whose context is the
    last state; here the bridge passes it on).
    """

    has_weights: ClassVar[bool] = False

    def score(self, queries: Tensor, keys: Tensor) -> Tensor:
        return queries.new_zeros(len(queries), queries.shape[1], keys.shape[1])


ATTENTIONS: dict[str, type[Attention]] = {
    "additive": AdditiveAttention,
    "general": GeneralAttention,
    "dot": DotAttention,
    "none": FixedContext,
}
