"""A loader of sequences that are in memory as one tensor of steps: one indexed gather per batch."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from rnnexp.core.validation import require_positive
from rnnexp.data.loading.buckets import padded_positions
from rnnexp.data.loading.order import BatchOrder
from rnnexp.data.loading.resumable import BatchLoader


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


class FileOrder(BatchOrder):
    """The order of the file, for evaluation: results are in the order of the samples.

    Args:
        indices, rank, world_size: see `Order`. Ranks take turns.
        batch_size: samples per batch.
    """

    window = 0

    def __init__(self, indices: Tensor, batch_size: int, rank: int, world_size: int) -> None:
        require_positive(batch_size=batch_size)
        super().__init__(indices, shuffle=False, rank=rank, world_size=world_size)
        self.batch_size = batch_size

    def __len__(self) -> int:
        return -(-len(range(self.rank, len(self.indices), self.world_size)) // self.batch_size)

    def batches(self) -> list[Tensor]:
        return list(torch.split(self.indices[self.rank :: self.world_size], self.batch_size))


class SequenceLoader(BatchLoader[Any]):
    """A loader of batches of (inputs, targets, lengths).

    Args:
        sequences: the sequences of a file.
        order: the batches of each epoch.
        batch_type: makes a batch of the three.
    """

    def __init__(self, sequences: EncodedSequences, order: BatchOrder, batch_type: type) -> None:
        super().__init__(order)
        self.sequences = sequences
        self.batch_type = batch_type

    def gather(self, indices: Tensor) -> Any:  # noqa: ANN401 (a batch of its type)
        """Return the samples at int64 [batch], padded with zeros; without lengths if all are equal."""
        data = self.sequences
        positions, is_past_end, lengths = padded_positions(data.offsets, indices)
        steps = positions.flatten()
        inputs = data.inputs.index_select(0, steps).view(*positions.shape, -1)
        inputs.masked_fill_(is_past_end[:, :, None], 0)
        targets = data.targets
        if targets is not None and data.per_step:
            targets = targets.index_select(0, steps).view(*positions.shape, *targets.shape[1:])
            past_end = is_past_end.view(*is_past_end.shape, *[1] * (targets.dim() - 2))
            targets = targets.masked_fill(past_end, data.past_end)
        elif targets is not None:
            targets = targets[indices]
        return self.batch_type(inputs, targets, lengths if bool(is_past_end.any()) else None)
