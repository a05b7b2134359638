"""Loaders that continue in the middle of an epoch."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from rnnexp.core.errors import UserError
from rnnexp.core.validation import require_positive
from rnnexp.data.loading.order import EpochOrder, Order

Batch = TypeVar("Batch")


class ResumableLoader(ABC, Generic[Batch]):
    """A loader of the batches of an epoch that continues where it was stopped.

    Its state is the epoch and the number of its batches that were loaded. After `load_state_dict`, the first iteration
    loads the rest of that epoch, or the whole next epoch if nothing is left. If another epoch is set before, it loads
    the whole of that epoch.

    Args:
        order: the order of the samples of each epoch.
    """

    def __init__(self, order: Order) -> None:
        self.batch_sampler = order
        self._position = {"epoch": 0, "batch": 0}  # the epoch, and the number of its batches that were loaded
        self._loaded: Mapping[str, int | str] | None = None

    @abstractmethod
    def __len__(self) -> int:
        """Return the number of batches of this rank in a whole epoch."""

    @abstractmethod
    def batches(self) -> Sequence[Tensor]:
        """Return the samples of each batch of this epoch, int64 [batch] each; at least `len` batches."""

    @abstractmethod
    def gather(self, indices: Tensor) -> Batch:
        """Return the batch of the samples at int64 [batch]."""

    @abstractmethod
    def order_config(self) -> dict[str, int | str]:
        """Return the values that the batches of an epoch depend on. An epoch can only be resumed with equal values."""

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration. Lightning calls it; another loop calls it before each pass."""
        self.batch_sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[Batch]:
        """Yield the batches of this rank.

        Raises:
            UserError: if an epoch was begun with another `order_config`.
        """
        # A generator, so that the epoch is read when the first batch is requested: Lightning makes iterators before it
        # sets the epoch.
        first_batch = self._first_batch()
        batches = self.batches()
        for batch in range(first_batch, len(self)):
            self._position = {"epoch": self.batch_sampler.epoch, "batch": batch + 1}
            yield self.gather(batches[batch])

    def state_dict(self) -> dict[str, int | str]:
        """Return the epoch (`epoch`), the number of its batches that were loaded (`batch`), and the `order_config`."""
        return {**self._position, **self.order_config()}

    def load_state_dict(self, state: Mapping[str, int | str]) -> None:
        """Continue from a state with the next iteration."""
        self._position = {"epoch": int(state["epoch"]), "batch": int(state["batch"])}
        self._loaded = state
        self.batch_sampler.set_epoch(self._position["epoch"])

    def _first_batch(self) -> int:
        loaded, self._loaded = self._loaded, None
        if loaded is None or loaded["epoch"] != self.batch_sampler.epoch or loaded["batch"] == 0:
            return 0
        for name, now in self.order_config().items():
            if loaded[name] != now:
                raise UserError(
                    f"the checkpoint was saved in the middle of an epoch with {name}={loaded[name]}, now it is {now}: "
                    f"continue with {name}={loaded[name]}"
                )
        if int(loaded["batch"]) >= len(self):
            self.batch_sampler.epoch += 1
            return 0
        return int(loaded["batch"])


class EpochLoader(ResumableLoader[Batch]):
    """A loader of batches of the samples of an order, one batch after the other.

    Args:
        order: the order of the samples of each epoch.
        batch_size: samples per batch and rank.
        drop_last: leave out a last batch that is smaller than the others.
    """

    def __init__(self, order: EpochOrder, batch_size: int, *, drop_last: bool = False) -> None:
        require_positive(batch_size=batch_size)
        super().__init__(order)
        self.order, self.batch_size, self.drop_last = order, batch_size, drop_last

    def __len__(self) -> int:
        num_samples = len(self.order)
        return num_samples // self.batch_size if self.drop_last else -(-num_samples // self.batch_size)

    def batches(self) -> Sequence[Tensor]:
        return torch.split(self.order.samples(), self.batch_size)

    def order_config(self) -> dict[str, int | str]:
        return {
            "batch_size": self.batch_size,
            "num_samples": len(self.order.indices),
            "world_size": self.order.world_size,
            "seed": self.order.seed,
        }
