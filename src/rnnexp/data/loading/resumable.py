"""Loaders that continue in the middle of an epoch."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, TypeVar

import torch
from torch import Tensor

from rnnexp.core.errors import UserError
from rnnexp.core.validation import require_positive
from rnnexp.data.loading.order import BatchOrder, EpochOrder, Order

Batch = TypeVar("Batch")


class ResumableLoader(ABC, Generic[Batch]):
    """A loader of the batches of an epoch that continues where it was stopped.

    Its state is the epoch and the number of its batches that were loaded. After `load_state_dict`, the first iteration
    loads the rest of that epoch, or the whole next epoch if nothing is left. If another epoch is set before, it loads
    the whole of that epoch.

    Args:
        order: the order of the samples of each epoch.
        batch_size: the content of a batch of one rank.
    """

    def __init__(self, order: Order, batch_size: int) -> None:
        self.order, self.batch_size = order, batch_size
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

    def order_config(self) -> dict[str, int | str]:
        """Return the values that the batches of an epoch depend on. An epoch can only be resumed with equal values."""
        return {
            "batch_size": self.batch_size,
            "num_samples": len(self.order.indices),
            "world_size": self.order.world_size,
            "seed": self.order.seed,
        }

    @property
    def batch_sampler(self) -> Order:
        """The order, under the name by which Lightning sets its epoch."""
        return self.order

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch of the next iteration. Lightning calls it; another loop calls it before each pass."""
        self.order.set_epoch(epoch)

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
            self._position = {"epoch": self.order.epoch, "batch": batch + 1}
            yield self.gather(batches[batch])

    def state_dict(self) -> dict[str, int | str]:
        """Return the epoch (`epoch`), the number of its batches that were loaded (`batch`), and the `order_config`."""
        return {**self._position, **self.order_config()}

    def load_state_dict(self, state: Mapping[str, int | str]) -> None:
        """Continue from a state with the next iteration."""
        self._position = {"epoch": int(state["epoch"]), "batch": int(state["batch"])}
        self._loaded = state
        self.order.set_epoch(self._position["epoch"])

    def _first_batch(self) -> int:
        loaded, self._loaded = self._loaded, None
        if loaded is None or loaded["epoch"] != self.order.epoch or loaded["batch"] == 0:
            return 0
        for name, now in self.order_config().items():
            if loaded[name] != now:
                raise UserError(
                    f"the checkpoint was saved in the middle of an epoch with {name}={loaded[name]}, now it is {now}: "
                    f"continue with {name}={loaded[name]}"
                )
        if int(loaded["batch"]) >= len(self):
            self.order.epoch += 1
            return 0
        return int(loaded["batch"])


class EpochLoader(ResumableLoader[Batch]):
    """A loader of batches of the samples of an order, one batch after the other.

    Args:
        order: the order of the samples of each epoch.
        batch_size: samples per batch and rank.
        drop_last: leave out a last batch that is smaller than the others.
    """

    order: EpochOrder

    def __init__(self, order: EpochOrder, batch_size: int, *, drop_last: bool = False) -> None:
        require_positive(batch_size=batch_size)
        super().__init__(order, batch_size)
        self.drop_last = drop_last

    def __len__(self) -> int:
        num_samples = len(self.order)
        return num_samples // self.batch_size if self.drop_last else -(-num_samples // self.batch_size)

    def batches(self) -> Sequence[Tensor]:
        return torch.split(self.order.samples(), self.batch_size)


class BatchLoader(ResumableLoader[Batch]):
    """A loader of the batches of an order of batches.

    Args:
        order: the batches of each epoch.
    """

    order: BatchOrder

    def __init__(self, order: BatchOrder) -> None:
        super().__init__(order, order.batch_size)

    def __len__(self) -> int:
        return len(self.order)

    def batches(self) -> Sequence[Tensor]:
        return self.order.batches()

    def order_config(self) -> dict[str, int | str]:
        return {**super().order_config(), "window": self.order.window}
