"""Batches of sequences of about the same length, which need little padding, and the padding."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnexp.core.errors import UserError
from rnnexp.core.validation import require_positive, validate_choice
from rnnexp.data.loading.order import BatchOrder, epoch_generator

BATCH_UNITS = ("sentences", "tokens")


class BucketOrder(BatchOrder):
    """An order of batches, each of samples of about the same length: a function of (seed, epoch).

    The samples are shuffled and cut into windows. Each window is sorted by length, one descending and the next
    ascending, so that lengths are also similar across the boundary of two windows. The whole is cut into batches of
    equal content, at least one for each rank if there are as many samples. The batches are shuffled and assigned to the
    ranks in turn. Every sample is in one batch of one rank, and each epoch has the same number of batches. Without
    shuffling, all samples are one window with the longest first, so that a batch that does not fit into memory fails at
    once.

    Args:
        indices, shuffle, seed, rank, world_size: see `Order`.
        lengths: int64 [all samples of the split], in tokens, for each sequence of a sample: source and target.
        batch_size: the content of a batch of one rank, in `batch_unit`: at most that many `sentences`, or on average at
            most that many `tokens` of all sequences, plus or minus one sample.
        batch_unit: `sentences` or `tokens`.
        window: number of batches of all ranks in a window.
        equal_length_ranks: give every rank the same number of batches, some of which may then hold one sample more.
            Training needs it, since ranks wait for each other at each step.

    Raises:
        ValueError: for an unknown unit, or a size that is not positive.
        UserError: if a sample does not fit into a batch, or there are fewer samples than ranks that need one.
    """

    def __init__(
        self,
        indices: Tensor,
        lengths: Sequence[Tensor],
        *,
        batch_size: int,
        batch_unit: str,
        window: int,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        equal_length_ranks: bool = False,
    ) -> None:
        validate_choice("data.batch_unit", batch_unit, BATCH_UNITS)
        require_positive(batch_size=batch_size, window=window)
        super().__init__(indices, shuffle=shuffle, seed=seed, rank=rank, world_size=world_size)
        self.lengths = lengths
        self.batch_size = batch_size
        self.batch_unit = batch_unit
        self.window = window
        self.num_batches = self._count_batches(equal_length_ranks)

    def __len__(self) -> int:
        return len(range(self.rank, self.num_batches, self.world_size))

    def batches(self) -> list[Tensor]:
        batches, order = self._all_batches()
        return [batches[index] for index in order[self.rank :: self.world_size]]

    def padding_share(self) -> float:
        """Return the share of padding in the batches of all ranks in this epoch, over all sequences of a sample."""
        batches, _order = self._all_batches()
        samples, sizes = torch.cat(batches), torch.tensor([len(batch) for batch in batches])
        num_tokens = num_positions = 0
        for lengths in (lengths[samples] for lengths in self.lengths):
            longest = torch.segment_reduce(lengths.double(), "max", lengths=sizes).long()
            num_positions += int(longest @ sizes)
            num_tokens += int(lengths.sum())
        return 1 - num_tokens / num_positions

    def _weights(self, samples: Tensor) -> Tensor:
        """Return the content of each sample in `batch_unit`, int64 [samples]."""
        if self.batch_unit == "sentences":
            return torch.ones_like(samples)
        return torch.stack([lengths[samples] for lengths in self.lengths]).sum(0)

    def _count_batches(self, equal_length_ranks: bool) -> int:
        weights = self._weights(self.indices)
        content, largest = int(weights.sum()), int(weights.max())
        if largest > self.batch_size:
            raise UserError(
                f"data.batch_size={self.batch_size} {self.batch_unit} is less than a sentence pair of {largest}: "
                "choose a larger one, or a smaller data.max_length"
            )
        num_batches = max(-(-content // self.batch_size), self.world_size)
        most = content // largest  # with more batches, one after a long sample could be empty
        if equal_length_ranks:
            num_batches += -num_batches % self.world_size
            most -= most % self.world_size
        if not most:
            raise UserError(
                f"{len(self.indices)} training samples are too few for {self.world_size} processes: use fewer devices"
            )
        return min(num_batches, most)

    def _all_batches(self) -> tuple[list[Tensor], list[int]]:
        """Return the batches of all ranks, and the order in which they are loaded."""
        samples = self.indices
        order = list(range(self.num_batches))
        num_windows = 1
        if self.shuffle:
            generator = epoch_generator(self.seed, self.epoch)
            samples = samples[torch.randperm(len(samples), generator=generator)]
            order = torch.randperm(self.num_batches, generator=generator).tolist()
            num_windows = -(-self.num_batches // self.window)
        samples = samples[self._order_by_length(samples, num_windows)]
        weights = self._weights(samples)
        content_before = weights.cumsum(0) - weights
        batch_of = content_before * self.num_batches // weights.sum()
        return list(torch.split(samples, torch.bincount(batch_of).tolist())), order

    def _order_by_length(self, samples: Tensor, num_windows: int) -> Tensor:
        """Return positions in `samples`, int64 [samples], that sort each window, in turn descending and ascending.

        The key is the longest sequence of a sample, and among equal ones the first sequence, in turn ascending and
        descending. Of the keys tried on Multi30k en-de and en-fr it leaves the least padding, 4 % with windows of 100
        batches of 64 pairs; sorting by (source, target) leaves 9 %.
        """
        first, *others = (lengths[samples] for lengths in self.lengths)
        longest = first
        for lengths in others:
            longest = torch.maximum(longest, lengths)
        base = int(longest.max()) + 1
        key = longest * base + torch.where(longest % 2 == 0, first, base - 1 - first)
        window = torch.arange(len(samples)) * num_windows // len(samples)
        return (window * 2 * base**2 + torch.where(window % 2 == 0, -key, key)).argsort(stable=True)


def padded_positions(offsets: Tensor, indices: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Return the places of some sequences in a tensor that holds all, one after the other.

    Args:
        offsets: int64 [samples + 1], the place of the first step of each sequence, and the end of the last.
        indices: int64 [batch], the sequences.

    Returns:
        The place of each step, int64 [batch, time]; whether it is past the end of its sequence, bool [batch, time], and
        then it is that of the last step; and lengths, int64 [batch].
    """
    starts, ends = offsets[indices], offsets[indices + 1]
    lengths = ends - starts
    positions = starts[:, None] + torch.arange(int(lengths.max()))
    return positions.minimum(ends[:, None] - 1), positions >= ends[:, None], lengths
