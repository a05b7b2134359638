"""A loader for sentence pairs that are in memory as one tensor of tokens per side: two indexed gathers per batch."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnexp.data.batches import TranslationBatch
from rnnexp.data.loading.buckets import BucketOrder
from rnnexp.data.loading.resumable import ResumableLoader
from rnnexp.data.text.encoding import EncodedPairs, Sequences
from rnnexp.text.vocabulary import PAD


class TranslationLoader(ResumableLoader[TranslationBatch]):
    """A loader of the sentence pairs of a split.

    Args:
        pairs: the sentence pairs of the split.
        order: the batches of each epoch.
    """

    def __init__(self, pairs: EncodedPairs, order: BucketOrder) -> None:
        super().__init__(order)
        self.pairs = pairs
        self.order = order

    def __len__(self) -> int:
        """Return the number of batches of this rank in a whole epoch."""
        return len(self.order)

    def batches(self) -> Sequence[Tensor]:
        """Return the pairs of each batch of this epoch, int64 [batch] each."""
        return self.order.batches()

    def padding_share(self) -> float:
        """Return the share of padding in the batches of this epoch, over both sides and all ranks."""
        return self.order.padding_share()

    def gather(self, indices: Tensor) -> TranslationBatch:
        """Return the pairs at int64 [batch], padded."""
        source, source_lengths = pad(self.pairs.source, indices)
        target, target_lengths = pad(self.pairs.target, indices)
        return TranslationBatch(source, source_lengths, target, target_lengths, indices)

    def order_config(self) -> dict[str, int | str]:
        """Return the values that the batches of an epoch depend on."""
        order = self.order
        return {
            "batch_size": order.batch_size,
            "batch_unit": order.batch_unit,
            "window": order.window,
            "num_samples": len(order.indices),
            "world_size": order.world_size,
            "seed": order.seed,
        }


def pad(sequences: Sequences, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Gather the sequences at int64 [batch].

    Returns:
        Tokens, int64 [batch, time], with PAD after the end of each sequence; and lengths, int64 [batch].
    """
    starts, ends = sequences.offsets[indices], sequences.offsets[indices + 1]
    lengths = ends - starts
    positions = starts[:, None] + torch.arange(int(lengths.max()))
    # Positions past the end of a sequence are outside of it: read the last token there, then mask it.
    tokens = sequences.tokens[positions.minimum(ends[:, None] - 1)].long()
    return tokens.masked_fill_(positions >= ends[:, None], PAD), lengths
