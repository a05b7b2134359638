"""A decoder with input feeding, which needs a loop over time."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnexp.models.decoder import Decoder, EncoderOutput
from rnnexp.models.dropout import SequenceDropout
from rnnexp.recurrent import State

Masks = Sequence[Tensor | None]
"""The dropout mask of each step, [batch, 1, features]; None if nothing is dropped."""


class StepwiseDecoder(Decoder):
    """A decoder whose top layer attends; its pre-output is an input of the bottom layer at the next step.

    This is the input feeding of Luong, Pham & Manning (2015, arXiv:1508.04025, section 3.3). The pre-output is taken
    before the output dropout, and is the last tensor of the state. Arguments: see `Decoder`.
    """

    def extra_sizes(self, embedding_size: int, annotation_size: int) -> tuple[int, int]:  # noqa: ARG002
        return embedding_size, 0

    def initial_state(self, state: State) -> State:
        h = state[0]
        return *state, h.new_zeros(len(h), self.embedding.embedding_dim)

    def forward(
        self, target_in: Tensor, state: State, encoded: EncoderOutput, teacher_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        embedded = self.embedding(self.word_dropout(target_in))
        embedding_masks = self._masks(self.embedding_dropout, embedded, embedded.shape[2])
        output_masks = self._masks(self.output_dropout, embedded, embedded.shape[2])
        layer_masks = [self._masks(self.layer_dropout, embedded, self.hidden_size) for _ in range(1, self.num_layers)]
        pre_outputs: list[Tensor] = []
        logits: list[Tensor] = []
        weights: list[Tensor] = []
        for t, y in enumerate(embedded.split(1, dim=1)):
            if teacher_mask is not None and t > 0:
                predicted = self.embedding(logits[-1].argmax(dim=2))
                y = torch.where(teacher_mask[:, t, None, None], y, predicted)
            y = self.embedding_dropout(y, embedding_masks[t])
            pre_output, state, step_weights = self._advance(y, state, encoded, [masks[t] for masks in layer_masks])
            pre_outputs.append(self.output_dropout(pre_output, output_masks[t]))
            weights.append(step_weights)
            if teacher_mask is not None:
                logits.append(self.output(pre_outputs[-1]))
        # One product for all steps, unless each step needed the logits of the previous one.
        if teacher_mask is None:
            logits = [self.output(torch.cat(pre_outputs, dim=1))]
        return torch.cat(logits, dim=1), torch.cat(weights, dim=1)

    def step(self, tokens: Tensor, state: State, encoded: EncoderOutput) -> tuple[Tensor, State, Tensor]:
        y = self.embedding_dropout(self.embedding(tokens.unsqueeze(1)))
        pre_output, state, weights = self._advance(y, state, encoded, [None] * (self.num_layers - 1))
        logits: Tensor = self.output(self.output_dropout(pre_output))
        return logits.squeeze(1), state, weights.squeeze(1)

    def _masks(self, dropout: SequenceDropout, embedded: Tensor, features: int) -> Masks:
        """Return the masks of one dropout for each step, drawn together so that they can be tied over time."""
        time = embedded.shape[1]
        mask = dropout.mask(embedded, time, features)
        return [None] * time if mask is None else torch.split(mask, 1, dim=1)

    def _advance(self, y: Tensor, state: State, encoded: EncoderOutput, masks: Masks) -> tuple[Tensor, State, Tensor]:
        """Return the pre-output, the state and the weights [rows, 1, source_time] of a step.

        y and the pre-output are [rows, 1, embedding].
        """
        input_feed = state[-1].unsqueeze(1)
        h, after = self.run_layer(0, y, state, input_feed)
        for index, mask in enumerate(masks, start=1):
            h, layer_state = self.run_layer(index, h, state, mask=mask)
            after += layer_state
        contexts, weights = self.attend(h, encoded)
        pre_output = self.pre_output(h, y, contexts)
        return pre_output, (*after, pre_output.squeeze(1)), weights
