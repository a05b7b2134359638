"""A loader for sentence pairs that are in memory as one tensor of tokens per side: two indexed gathers per batch."""

from torch import Tensor

from rnnexp.data.batches import TranslationBatch
from rnnexp.data.loading.buckets import BucketOrder, padded_positions
from rnnexp.data.loading.resumable import BatchLoader
from rnnexp.data.text.encoding import EncodedPairs, Sequences
from rnnexp.text.vocabulary import PAD


class TranslationLoader(BatchLoader[TranslationBatch]):
    """A loader of the sentence pairs of a split.

    Args:
        pairs: the sentence pairs of the split.
        order: the batches of each epoch.
    """

    order: BucketOrder

    def __init__(self, pairs: EncodedPairs, order: BucketOrder) -> None:
        super().__init__(order)
        self.pairs = pairs

    def padding_share(self) -> float:
        """Return the share of padding in the batches of this epoch, over both sides and all ranks."""
        return self.order.padding_share()

    def gather(self, indices: Tensor) -> TranslationBatch:
        """Return the pairs at int64 [batch], padded."""
        source, source_lengths = pad(self.pairs.source, indices)
        target, target_lengths = pad(self.pairs.target, indices)
        return TranslationBatch(source, source_lengths, target, target_lengths, indices)

    def order_config(self) -> dict[str, int | str]:
        return {**super().order_config(), "batch_unit": self.order.batch_unit}


def pad(sequences: Sequences, indices: Tensor) -> tuple[Tensor, Tensor]:
    """Gather the sequences at int64 [batch].

    Returns:
        Tokens, int64 [batch, time], with PAD after the end of each sequence; and lengths, int64 [batch].
    """
    positions, is_past_end, lengths = padded_positions(sequences.offsets, indices)
    return sequences.tokens[positions].long().masked_fill_(is_past_end, PAD), lengths
