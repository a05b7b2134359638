"""Batches of a dataset that is kept whole as bytes: one indexed gather and one normalisation each."""

import hashlib
from collections.abc import Iterator, Mapping

import torch
from torch import Tensor

from rnnexp.arguments import require_positive
from rnnexp.batches import LabelledSequences
from rnnexp.errors import UserError


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
            # A digest, so that (seed, epoch + 1) and (seed + 1, epoch) have nothing in common.
            digest = hashlib.sha256(f"{self.seed} {self.epoch}".encode()).digest()
            generator = torch.Generator().manual_seed(int.from_bytes(digest[:8]) >> 1)
            members = members[torch.randperm(len(members), generator=generator)]
        return members[self.rank : self.num_shared : self.world_size]

    def __len__(self) -> int:
        """Samples of this rank in an epoch."""
        return len(range(self.rank, self.num_shared, self.world_size))


class TensorLoader:
    """Iterates over batches of sequences that lie whole in memory, on the CPU or on the device.

    Its state says how many batches of which epoch have been given. After `load_state_dict`, the first iteration gives
    the rest of that epoch, or the whole next one where nothing is left; if another epoch is set, all of that.

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
        self.sequences = sequences
        self.labels = labels
        self.batch_sampler = order
        self.batch_size = batch_size
        self.scale = scale
        self.shift = shift
        self.drop_last = drop_last
        self._position = {"epoch": 0, "batch": 0}  # batches given of which epoch
        self._loaded: Mapping[str, int] | None = None

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        num_samples = len(self.batch_sampler)
        return num_samples // self.batch_size if self.drop_last else -(-num_samples // self.batch_size)

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch comes next; Lightning does it by itself, another loop does it before each pass."""
        self.batch_sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[LabelledSequences]:
        """Yields the batches of this rank; raises UserError where an epoch cannot be continued as it began."""
        # A generator, so that nothing is decided before the first batch is asked for: Lightning asks for iterators,
        # some only to see whether they can be had, before it says which epoch it is.
        first_batch = self._first_batch()
        indices = self.batch_sampler.indices().to(self.sequences.device)
        for batch in range(first_batch, len(self)):
            self._position = {"epoch": self.batch_sampler.epoch, "batch": batch + 1}
            yield self.gather(indices[batch * self.batch_size : (batch + 1) * self.batch_size])

    def gather(self, indices: Tensor) -> LabelledSequences:
        """The samples at int64 [batch] as normalised inputs, float32 [batch, time, features], and labels."""
        # On a CPU index_select takes a quarter of the time of sequences[indices].
        inputs = self.sequences.index_select(0, indices).to(torch.float32).mul_(self.scale).add_(self.shift)
        return LabelledSequences(inputs, self.labels.index_select(0, indices))

    def state_dict(self) -> dict[str, int]:
        """The batches given (`batch`) of the epoch (`epoch`), and what the order depends on."""
        return {**self._position, **self._geometry()}

    def load_state_dict(self, state: Mapping[str, int]) -> None:
        """The next iteration continues from there."""
        self._position = {"epoch": state["epoch"], "batch": state["batch"]}
        self._loaded = state
        self.batch_sampler.set_epoch(state["epoch"])

    def _geometry(self) -> dict[str, int]:
        order = self.batch_sampler
        return {
            "batch_size": self.batch_size,
            "num_samples": len(order.members),
            "world_size": order.world_size,
            "seed": order.seed,
        }

    def _first_batch(self) -> int:
        loaded, self._loaded = self._loaded, None
        if loaded is None or loaded["epoch"] != self.batch_sampler.epoch or loaded["batch"] == 0:
            return 0
        for name, now in self._geometry().items():
            if loaded[name] != now:
                raise UserError(
                    f"the checkpoint lies in the middle of an epoch with {name}={loaded[name]}, now it is {now}: "
                    f"continue with {name}={loaded[name]}"
                )
        if loaded["batch"] >= len(self):
            self.batch_sampler.epoch += 1
            return 0
        return loaded["batch"]
