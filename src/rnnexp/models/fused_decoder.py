"""A decoder whose layers run over the whole target at once."""

from torch import Tensor

from rnnexp.models.decoder import Decoder, EncoderOutput
from rnnexp.recurrent import State


class FusedDecoder(Decoder):
    """A decoder whose bottom layer attends; its contexts are inputs of the layers above at the same step.

    This is the second version of GNMT (Wu et al., 2016, arXiv:1609.08144) in NVIDIA's PyTorch release. In the first
    version the contexts are inputs of all layers at the next step. Here no layer depends on an earlier step of a layer
    above, so teacher forcing needs one call per layer and one product for all attention. Arguments: see `Decoder`.
    """

    def extra_sizes(self, embedding_size: int, annotation_size: int) -> tuple[int, int]:  # noqa: ARG002
        return 0, annotation_size

    def forward(
        self, target_in: Tensor, state: State, encoded: EncoderOutput, teacher_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        if teacher_mask is not None:
            raise ValueError("the fused decoder supports only teacher forcing 1: use decoder=stepwise for less")
        logits, _, weights = self._run(self.word_dropout(target_in), state, encoded)
        return logits, weights

    def step(self, tokens: Tensor, state: State, encoded: EncoderOutput) -> tuple[Tensor, State, Tensor]:
        logits, state, weights = self._run(tokens.unsqueeze(1), state, encoded)
        return logits.squeeze(1), state, weights.squeeze(1)

    def _run(self, tokens: Tensor, state: State, encoded: EncoderOutput) -> tuple[Tensor, State, Tensor]:
        """Return logits [rows, time, vocab], state and weights [rows, time, source_time] for tokens [rows, time]."""
        embedded = self.embedding_dropout(self.embedding(tokens))
        h, after = self.run_layer(0, embedded, state)
        contexts, weights = self.attend(h, encoded)
        for index in range(1, self.num_layers):
            h, layer_state = self.run_layer(index, h, state, contexts)
            after += layer_state
        logits: Tensor = self.output(self.output_dropout(self.pre_output(h, embedded, contexts)))
        return logits, after, weights
