"""A loader for a dataset that is kept in memory as bytes: one indexed gather and one normalization per batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnexp.core.validation import require_positive
from rnnexp.data.batches import LabeledSequences
from rnnexp.data.loading.order import EpochOrder
from rnnexp.data.loading.resumable import ResumableLoader


class TensorLoader(ResumableLoader[LabeledSequences]):
    """A loader of sequences that are kept whole in memory, on the CPU or on the device.

    Args:
        sequences: uint8 [samples, time, features].
        labels: int64 [samples], on the same device.
        order: the order of the samples of each epoch.
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
        """Return the number of batches of this rank in a whole epoch."""
        num_samples = len(self.order)
        return num_samples // self.batch_size if self.drop_last else -(-num_samples // self.batch_size)

    def batches(self) -> Sequence[Tensor]:
        """Return the samples of each batch of this epoch, int64 [batch] each, on the device of the sequences."""
        return torch.split(self.order.samples().to(self.sequences.device), self.batch_size)

    def gather(self, indices: Tensor) -> LabeledSequences:
        """Return the samples at int64 [batch] as normalized inputs, float32 [batch, time, features], and labels."""
        # On a CPU index_select takes a quarter of the time of sequences[indices].
        inputs = self.sequences.index_select(0, indices).to(torch.float32).mul_(self.scale).add_(self.shift)
        return LabeledSequences(inputs, self.labels.index_select(0, indices))

    def order_config(self) -> dict[str, int | str]:
        """Return the values that the batches of an epoch depend on."""
        return {
            "batch_size": self.batch_size,
            "num_samples": len(self.order.indices),
            "world_size": self.order.world_size,
            "seed": self.order.seed,
        }
