"""Batches of a dataset that is kept whole as bytes: one indexed gather and one normalisation each."""

import hashlib
from collections.abc import Sequence

import torch
from torch import Tensor

from rnnexp.core.validation import require_positive
from rnnexp.data.batches import LabelledSequences
from rnnexp.data.loading.resumable import ResumableLoader


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Random numbers, drawn on the CPU, that depend on (seed, epoch) alone."""
    # A digest, so that (seed, epoch + 1) and (seed + 1, epoch) have nothing in common.
    digest = hashlib.sha256(f"{seed} {epoch}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)


class EpochOrder:
    """Which samples this rank sees in an epoch, and in which order: a pure function of (seed, epoch).

    The order is drawn on the CPU, so that it is the same whatever device the data lie on. Ranks take turns, so that no
    two of them see the same sample.

    Args:
        members: int64 [samples], the samples to draw from.
        shuffle: a new order each epoch, else always that of `members`.
        seed: of the order.
        rank, world_size: this process among those that share the samples.
        even: leave out the last few samples of the epoch, so that every rank has as many. Training needs it, since
            ranks wait for each other at each step; evaluation needs every sample.
    """

    def __init__(
        self, members: Tensor, *, shuffle: bool, seed: int = 0, rank: int = 0, world_size: int = 1, even: bool = False
    ) -> None:
        self.members = members
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.num_shared = len(members) - len(members) % world_size if even else len(members)
        self.epoch = 0

    @property
    def sampler(self) -> "EpochOrder":
        """Itself: Lightning tells `loader.batch_sampler.sampler` which epoch begins.

        It would tell `loader.sampler` too, but that may only be one of torch's own samplers with `overfit_batches`.
        """
        return self

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch whose order `indices` gives."""
        self.epoch = epoch

    def indices(self) -> Tensor:
        """The samples of this rank in this epoch, int64 [samples of the rank], on the CPU."""
        members = self.members
        if self.shuffle:
            members = members[torch.randperm(len(members), generator=epoch_generator(self.seed, self.epoch))]
        return members[self.rank : self.num_shared : self.world_size]

    def __len__(self) -> int:
        """Samples of this rank in an epoch."""
        return len(range(self.rank, self.num_shared, self.world_size))


class TensorLoader(ResumableLoader[LabelledSequences]):
    """Iterates over batches of sequences that lie whole in memory, on the CPU or on the device.

    Args:
        sequences: uint8 [samples, time, features].
        labels: int64 [samples], on the same device.
        order: the samples of each epoch.
        batch_size: samples per batch and rank.
        scale, shift: inputs are `sequences * scale + shift`.
        drop_last: leave out a last batch that is smaller than the others.
    """

    def __init__(
        self,
        sequences: Tensor,
        labels: Tensor,
        order: EpochOrder,
        *,
        batch_size: int,
        scale: float,
        shift: float,
        drop_last: bool = False,
    ) -> None:
        require_positive(batch_size=batch_size)
        super().__init__(order)
        self.sequences = sequences
        self.labels = labels
        self.order = order
        self.batch_size = batch_size
        self.scale = scale
        self.shift = shift
        self.drop_last = drop_last

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        num_samples = len(self.order)
        return num_samples // self.batch_size if self.drop_last else -(-num_samples // self.batch_size)

    def batches(self) -> Sequence[Tensor]:
        """The samples of each batch of this epoch, int64 [batch] each, where the sequences are."""
        return torch.split(self.order.indices().to(self.sequences.device), self.batch_size)

    def gather(self, indices: Tensor) -> LabelledSequences:
        """The samples at int64 [batch] as normalised inputs, float32 [batch, time, features], and labels."""
        # On a CPU index_select takes a quarter of the time of sequences[indices].
        inputs = self.sequences.index_select(0, indices).to(torch.float32).mul_(self.scale).add_(self.shift)
        return LabelledSequences(inputs, self.labels.index_select(0, indices))

    def geometry(self) -> dict[str, int | str]:
        """What the batches of an epoch depend on beside it."""
        return {
            "batch_size": self.batch_size,
            "num_samples": len(self.order.members),
            "world_size": self.order.world_size,
            "seed": self.order.seed,
        }
