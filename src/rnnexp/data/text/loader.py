"""Batches of sentence pairs that lie in memory as one tensor of tokens a side: two indexed gathers each."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnexp.data.batches import TranslationBatch
from rnnexp.data.loading.resumable import ResumableLoader
from rnnexp.data.text.buckets import BucketOrder
from rnnexp.data.text.encoding import EncodedPairs, Sequences
from rnnexp.text.vocabulary import PAD


class TranslationLoader(ResumableLoader[TranslationBatch]):
    """Iterates over batches of a split.

    Args:
        pairs: the sentence pairs of the split.
        order: which of them make up each batch of an epoch.
    """

    def __init__(self, pairs: EncodedPairs, order: BucketOrder) -> None:
        super().__init__(order)
        self.pairs = pairs
        self.order = order

    def __len__(self) -> int:
        """Batches of this rank in a whole epoch."""
        return len(self.order)

    def batches(self) -> Sequence[Tensor]:
        """The pairs of each batch of this epoch, int64 [batch] each."""
        return self.order.batches()

    def padding_share(self) -> float:
        """The share of padding in the batches of this epoch, over both sides and all ranks."""
        return self.order.padding_share()

    def gather(self, indices: Tensor) -> TranslationBatch:
        """The pairs at int64 [batch], padded."""
        source, source_lengths = pad(self.pairs.source, indices)
        target, target_lengths = pad(self.pairs.target, indices)
        return TranslationBatch(source, source_lengths, target, target_lengths, indices)

    def geometry(self) -> dict[str, int | str]:
        """What the batches of an epoch depend on beside it."""
        order = self.order
        return {
            "batch_size": order.batch_size,
            "batch_unit": order.batch_unit,
            "window": order.window,
            "num_samples": len(order.members),
            "world_size": order.world_size,
            "seed": order.seed,
        }


def pad(sequences: Sequences, indices: Tensor) -> tuple[Tensor, Tensor]:
    """The sequences at int64 [batch]: tokens, int64 [batch, time] and then PAD, and their lengths, int64 [batch]."""
    starts, ends = sequences.offsets[indices], sequences.offsets[indices + 1]
    lengths = ends - starts
    positions = starts[:, None] + torch.arange(int(lengths.max()))
    # Past the end of a sequence stands the next one, or nothing: read the last token there, then mask it.
    tokens = sequences.tokens[positions.minimum(ends[:, None] - 1)].long()
    return tokens.masked_fill_(positions >= ends[:, None], PAD), lengths
