"""A decoder whose layers run over the whole target at once."""

from torch import Tensor

from rnnexp.models.decoder import Decoder, EncoderOutput
from rnnexp.recurrent import State


class FusedDecoder(Decoder):
    """The bottom layer reads the target alone, attends, and its contexts feed the layers above at the same step.

    This is the second version of GNMT (Wu et al., 2016, arXiv:1609.08144) as in NVIDIA's PyTorch release. In the first
    version the contexts reach the upper layers one step later, and the bottom layer, too. Here no layer waits for the
    next step of another, so that teacher forcing takes one call per layer and one product for all attention.
    Arguments: see Decoder.
    """

    def extra_sizes(self, embedding_size: int, annotation_size: int) -> tuple[int, int]:  # noqa: ARG002
        return 0, annotation_size

    def forward(
        self, target_in: Tensor, state: State, encoded: EncoderOutput, teacher_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if teacher_mask is not None:
            raise ValueError("the fused decoder learns with teacher forcing 1 alone: use decoder=stepwise for less")
        logits, _, weights = self._run(self.word_dropout(target_in), state, encoded)
        return logits, weights

    def step(self, tokens: Tensor, state: State, encoded: EncoderOutput) -> tuple[Tensor, State, Tensor]:
        logits, state, weights = self._run(tokens.unsqueeze(1), state, encoded)
        return logits.squeeze(1), state, weights.squeeze(1)

    def _run(self, tokens: Tensor, state: State, encoded: EncoderOutput) -> tuple[Tensor, State, Tensor]:
        """Tokens [rows, time] -> logits [rows, time, vocab], state after them, weights [rows, time, source_time]."""
        embedded = self.embedding_dropout(self.embedding(tokens))
        h, after = self.run_layer(0, embedded, state)
        contexts, weights = self.attend(h, encoded)
        for index in range(1, self.num_layers):
            h, layer_state = self.run_layer(index, h, state, contexts)
            after += layer_state
        logits: Tensor = self.output(self.output_dropout(self.pre_output(h, embedded, contexts)))
        return logits, after, weights
