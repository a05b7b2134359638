"""Batches in an order that depends on the epoch alone, so that a run which stops anywhere continues where it was."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import Generic, Protocol, TypeVar

from torch import Tensor

from rnnexp.core.errors import UserError

Batch = TypeVar("Batch")


class Order(Protocol):
    """What belongs to each epoch."""

    epoch: int

    @property
    def sampler(self) -> "Order":
        """Itself: Lightning tells `loader.batch_sampler.sampler` which epoch begins."""

    def set_epoch(self, epoch: int) -> None:
        """Chooses the epoch."""


class ResumableLoader(ABC, Generic[Batch]):
    """Iterates over the batches of an epoch.

    Its state says how many batches of which epoch have been given. After `load_state_dict`, the first iteration gives
    the rest of that epoch, or the whole next one where nothing is left; if another epoch is set, all of that.

    Args:
        order: says which epoch it is.
    """

    def __init__(self, order: Order) -> None:
        self.batch_sampler = order
        self._position = {"epoch": 0, "batch": 0}  # batches given of which epoch
        self._loaded: Mapping[str, int | str] | None = None

    @abstractmethod
    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""

    @abstractmethod
    def batches(self) -> Sequence[Tensor]:
        """The samples of each batch of this epoch, int64 [batch] each; at least `len` of them."""

    @abstractmethod
    def gather(self, indices: Tensor) -> Batch:
        """The batch of the samples at int64 [batch]."""

    @abstractmethod
    def geometry(self) -> dict[str, int | str]:
        """What the batches of an epoch depend on beside it: an epoch can only be continued with the same."""

    def set_epoch(self, epoch: int) -> None:
        """Says which epoch comes next; Lightning does it by itself, another loop does it before each pass."""
        self.batch_sampler.set_epoch(epoch)

    def __iter__(self) -> Iterator[Batch]:
        """Yields the batches of this rank; raises UserError where an epoch cannot be continued as it began."""
        # A generator, so that nothing is decided before the first batch is asked for: Lightning asks for iterators,
        # some only to see whether they can be had, before it says which epoch it is.
        first_batch = self._first_batch()
        batches = self.batches()
        for batch in range(first_batch, len(self)):
            self._position = {"epoch": self.batch_sampler.epoch, "batch": batch + 1}
            yield self.gather(batches[batch])

    def state_dict(self) -> dict[str, int | str]:
        """The batches given (`batch`) of the epoch (`epoch`), and what the order depends on."""
        return {**self._position, **self.geometry()}

    def load_state_dict(self, state: Mapping[str, int | str]) -> None:
        """The next iteration continues from there."""
        self._position = {"epoch": int(state["epoch"]), "batch": int(state["batch"])}
        self._loaded = state
        self.batch_sampler.set_epoch(self._position["epoch"])

    def _first_batch(self) -> int:
        loaded, self._loaded = self._loaded, None
        if loaded is None or loaded["epoch"] != self.batch_sampler.epoch or loaded["batch"] == 0:
            return 0
        for name, now in self.geometry().items():
            if loaded[name] != now:
                raise UserError(
                    f"the checkpoint lies in the middle of an epoch with {name}={loaded[name]}, now it is {now}: "
                    f"continue with {name}={loaded[name]}"
                )
        if int(loaded["batch"]) >= len(self):
            self.batch_sampler.epoch += 1
            return 0
        return int(loaded["batch"])
