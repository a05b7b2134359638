"""Additive attention for one query after another, with its derivatives, for `rnnexp.models.batched_decoder`."""

from collections.abc import Sequence

import torch
from torch import Tensor


class AdditiveScores:
    """The scores v · tanh(W q + k) of each step, and their gradients.

    The tanh is computed again in the backward pass, which takes less time than to store it for all steps. With s the
    gradient by the scores, that by W q + k is s v (1 - tanh²). The scores are those of a softmax, so s sums to zero
    over the source, and the gradient by q needs only the sum of s tanh².

    Args:
        keys: [batch, source_time, key].
        weight: W.
        energy: v, [1, key].
    """

    def __init__(self, keys: Tensor, weight: Tensor, energy: Tensor) -> None:
        self.keys, self.weight, self.energy = keys, weight, energy
        self._tanh = torch.empty_like(keys)

    def score(self, query: Tensor) -> Tensor:
        """Return the scores of a step for W q [batch, key], [batch, source_time]."""
        torch.add(self.keys, query.unsqueeze(1), out=self._tanh).tanh_()
        return torch.matmul(self._tanh, self.energy[0])

    def start_backward(self, h: Tensor) -> None:
        """Prepare the backward pass for all queries, [time, batch, hidden]."""
        self._h, self._queries = h, torch.matmul(h, self.weight.t())
        self._by_queries = torch.empty_like(self._queries)
        self._by_keys, self._by_energy = torch.zeros_like(self.keys), torch.zeros_like(self.energy)

    def pull_back(self, t: int, by_scores: Tensor, by_h: Tensor) -> None:
        """Go back over step t, and add the gradient by its query to `by_h`."""
        self.score(self._queries[t])
        self._by_energy.addmm_(by_scores.view(1, -1), self._tanh.flatten(0, 1))
        squares = self._tanh.mul_(self._tanh)
        self._by_keys.addcmul_(by_scores.unsqueeze(2), squares, value=-1)
        by_query = torch.bmm(by_scores.unsqueeze(1), squares).squeeze(1)
        torch.mul(by_query, -self.energy, out=self._by_queries[t])
        by_h.addmm_(self._by_queries[t], self.weight)

    def gradients(self, by_scores: Tensor) -> tuple[Tensor, Sequence[Tensor]]:
        """Return the gradients by the keys, and by W and v, from those by all scores [time, batch, source_time]."""
        by_keys = (self._by_keys + by_scores.sum(0).unsqueeze(2)) * self.energy
        return by_keys, (self._by_queries.flatten(0, 1).t() @ self._h.flatten(0, 1), self._by_energy)
