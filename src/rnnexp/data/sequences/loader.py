"""A loader of sequences that are in memory as one tensor of steps: one indexed gather per batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch
from torch import Tensor

from rnnexp.core.validation import require_positive
from rnnexp.data.loading.order import EpochOrder
from rnnexp.data.loading.resumable import ResumableLoader


@dataclass(frozen=True)
class EncodedSequences:
    """Sequences as tensors, one after the other.

    Args:
        inputs: float32 [steps, features].
        offsets: int64 [samples + 1], the first step of each sequence, and the end of the last.
        targets: of sequences [samples, ...] or of steps [steps, ...]; None without targets.
        per_step: whether each step has a target.
        past_end: the target of a step past the end of its sequence.
    """

    inputs: Tensor
    offsets: Tensor
    targets: Tensor | None
    per_step: bool
    past_end: float = 0

    @property
    def lengths(self) -> Tensor:
        """The steps of each sequence, int64 [samples]."""
        return self.offsets.diff()


class BatchOrder(Protocol):
    """An order of batches: `BucketOrder` or `FileOrder`."""

    indices: Tensor
    batch_size: int
    seed: int
    world_size: int

    def __len__(self) -> int:
        """Return the number of batches of this rank in an epoch."""

    def batches(self) -> list[Tensor]:
        """Return the samples of each batch of this rank in this epoch, int64 [batch] each."""


class FileOrder(EpochOrder):
    """The order of the file, for evaluation: results are in the order of the samples.

    Args:
        indices, rank, world_size: see `Order`.
        batch_size: samples per batch.
    """

    def __init__(self, indices: Tensor, batch_size: int, rank: int, world_size: int) -> None:
        require_positive(batch_size=batch_size)
        super().__init__(indices, shuffle=False, rank=rank, world_size=world_size)
        self.batch_size = batch_size

    def __len__(self) -> int:
        """Return the number of batches of this rank in an epoch."""
        return -(-super().__len__() // self.batch_size)

    def batches(self) -> list[Tensor]:
        """Return the samples of each batch of this rank, int64 [batch] each."""
        return list(torch.split(self.samples(), self.batch_size))


class SequenceLoader(ResumableLoader[Any]):
    """A loader of batches of (inputs, targets, lengths).

    Args:
        sequences: the sequences of a file.
        order: the batches of each epoch.
        batch_type: makes a batch of the three.
    """

    def __init__(self, sequences: EncodedSequences, order: Any, batch_type: type) -> None:  # noqa: ANN401
        super().__init__(order)
        self.sequences = sequences
        self.order: BatchOrder = order
        self.batch_type = batch_type

    def __len__(self) -> int:
        """Return the number of batches of this rank in a whole epoch."""
        return len(self.order)

    def batches(self) -> Sequence[Tensor]:
        """Return the samples of each batch of this epoch, int64 [batch] each."""
        return self.order.batches()

    def gather(self, indices: Tensor) -> Any:  # noqa: ANN401 (a batch of its type)
        """Return the samples at int64 [batch], padded with zeros; without lengths if all are equal."""
        data = self.sequences
        starts, ends = data.offsets[indices], data.offsets[indices + 1]
        lengths = ends - starts
        time = int(lengths.max())
        positions = starts[:, None] + torch.arange(time)
        is_past_end = positions >= ends[:, None]
        steps = positions.minimum(ends[:, None] - 1).flatten()
        inputs = data.inputs.index_select(0, steps).view(len(indices), time, -1)
        inputs.masked_fill_(is_past_end[:, :, None], 0)
        targets = data.targets
        if targets is not None and data.per_step:
            targets = targets.index_select(0, steps).view(len(indices), time, *targets.shape[1:])
            past_end = is_past_end.view(*is_past_end.shape, *[1] * (targets.dim() - 2))
            targets = targets.masked_fill(past_end, data.past_end)
        elif targets is not None:
            targets = targets[indices]
        return self.batch_type(inputs, targets, lengths if bool(is_past_end.any()) else None)

    def order_config(self) -> dict[str, int | str]:
        """Return the values that the batches of an epoch depend on."""
        order = self.order
        return {
            "batch_size": order.batch_size,
            "window": getattr(order, "window", 0),
            "num_samples": len(order.indices),
            "world_size": order.world_size,
            "seed": order.seed,
        }
