"""The encoder: a recurrent stack over a sentence that returns one annotation per token and the final state."""

from collections.abc import Callable

from torch import Tensor, nn

from rnnexp.models.dropout import WordDropout
from rnnexp.recurrent import RecurrentStack, State
from rnnexp.recurrent.dropout import SequenceDropout


class Encoder(nn.Module):
    """An encoder: an embedding, a recurrent stack, and dropout of words, embeddings and annotations.

    Args:
        make_stack: called as `make_stack(input_size=...)`. Its `time_tied_dropout` applies to all dropouts of features.
        embedding: the embedding of the source tokens.
        embedding_dropout: probability of zeroing a feature of an embedding.
        annotation_dropout: probability of zeroing a feature of an annotation.
        word_dropout: probability of replacing a word by the unknown word.

    Raises:
        ValueError: for a probability outside [0, 1), and the errors of the stack.
    """

    def __init__(
        self,
        make_stack: Callable[..., RecurrentStack],
        embedding: nn.Embedding,
        embedding_dropout: float = 0.0,
        annotation_dropout: float = 0.0,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.embedding = embedding
        self.stack = make_stack(input_size=embedding.embedding_dim)
        self.word_dropout = WordDropout(word_dropout)
        self.embedding_dropout = SequenceDropout(embedding_dropout, self.stack.time_tied_dropout)
        self.annotation_dropout = SequenceDropout(annotation_dropout, self.stack.time_tied_dropout)

    def forward(self, source: Tensor, source_lengths: Tensor) -> tuple[Tensor, State]:
        """Encode a batch of sentences.

        Args:
            source: int64 [batch, source_time]. Tokens past the end of a sentence have no effect.
            source_lengths: int64 [batch] on the CPU.

        Returns:
            Annotations [batch, source_time, directions * hidden], zero past a sentence's end, and the state after its
            last token [layers, batch, directions * hidden] each, see `RecurrentStack`.
        """
        embedded = self.embedding_dropout(self.embedding(self.word_dropout(source)))
        annotations, final = self.stack(embedded, source_lengths)
        return self.annotation_dropout(annotations), final
