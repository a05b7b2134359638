"""The order of the samples of each epoch, which depends only on the seed and the epoch."""

import hashlib
from abc import ABC, abstractmethod
from typing import Self

import torch
from torch import Tensor


def epoch_generator(seed: int, epoch: int) -> torch.Generator:
    """Return a generator on the CPU whose random numbers depend only on (seed, epoch)."""
    # A digest, so that (seed, epoch + 1) and (seed + 1, epoch) have unrelated numbers.
    digest = hashlib.sha256(f"{seed} {epoch}".encode()).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)


class Order:
    """The order of the samples of an epoch, for one rank.

    Args:
        indices: int64 [samples], the samples of the split that belong to an epoch.
        shuffle: draw a new order in each epoch; otherwise every epoch has the same order.
        seed: the seed of the order.
        rank, world_size: the rank of this process, and the number of processes that share the samples.
    """

    def __init__(self, indices: Tensor, *, shuffle: bool, seed: int = 0, rank: int = 0, world_size: int = 1) -> None:
        self.indices = indices
        self.shuffle = shuffle
        self.seed = seed
        self.rank = rank
        self.world_size = world_size
        self.epoch = 0

    @property
    def sampler(self) -> Self:
        """The object itself: Lightning calls `loader.batch_sampler.sampler.set_epoch` before each epoch.

        It also calls `loader.sampler.set_epoch`, but with `overfit_batches` it accepts only torch's samplers there.
        """
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch whose order is used next."""
        self.epoch = epoch


class EpochOrder(Order):
    """An order of single samples. Ranks take turns, so that no two of them have the same sample.

    Args:
        indices, shuffle, seed, rank, world_size: see `Order`.
        equal_length_ranks: leave out the last samples of the epoch that do not divide by the number of ranks. Training
            needs it, since ranks wait for each other at each step; evaluation needs every sample.
    """

    def __init__(
        self,
        indices: Tensor,
        *,
        shuffle: bool,
        seed: int = 0,
        rank: int = 0,
        world_size: int = 1,
        equal_length_ranks: bool = False,
    ) -> None:
        super().__init__(indices, shuffle=shuffle, seed=seed, rank=rank, world_size=world_size)
        self.num_shared = len(indices) - (len(indices) % world_size if equal_length_ranks else 0)

    def samples(self) -> Tensor:
        """Return the samples of this rank in this epoch, int64 [samples of the rank], on the CPU."""
        indices = self.indices
        if self.shuffle:
            indices = indices[torch.randperm(len(indices), generator=epoch_generator(self.seed, self.epoch))]
        return indices[self.rank : self.num_shared : self.world_size]

    def __len__(self) -> int:
        """Return the number of samples of this rank in an epoch."""
        return len(range(self.rank, self.num_shared, self.world_size))


class BatchOrder(Order, ABC):
    """An order of batches."""

    batch_size: int
    """the content of a batch of one rank"""
    window: int
    """the number of batches of all ranks within which samples are sorted by length; 0 if they are not sorted"""

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of batches of this rank in an epoch."""

    @abstractmethod
    def batches(self) -> list[Tensor]:
        """Return the samples of each batch of this rank in this epoch, int64 [batch] each, on the CPU."""
