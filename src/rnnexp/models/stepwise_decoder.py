"""A decoder with input feeding, which needs a loop over time."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnexp.models.attention import AdditiveAttention
from rnnexp.models.batched_decoder import Inputs, run_steps
from rnnexp.models.decoder import Decoder, EncoderOutput
from rnnexp.recurrent import RecurrentStack, State


def _at(mask: Tensor | None, t: int) -> Tensor | None:
    return None if mask is None else mask[:, t : t + 1]


class StepwiseDecoder(Decoder):
    """A decoder whose top layer attends; its pre-output is an input of the bottom layer at the next step.

    This is the input feeding of Luong, Pham & Manning (2015, arXiv:1508.04025, section 3.3). The pre-output is taken
    before the output dropout, and is the last tensor of the state. Arguments: see `Decoder`.
    """

    @property
    def state_size(self) -> int:
        return super().state_size + self.embedding.embedding_dim

    def extra_sizes(self, embedding_size: int, annotation_size: int) -> tuple[int, int]:  # noqa: ARG002
        return embedding_size, 0

    def initial_state(self, state: State) -> State:
        h = state[0]
        return *state, h.new_zeros(h.shape[0], self.embedding.embedding_dim)

    def forward(
        self, target_in: Tensor, state: State, encoded: EncoderOutput, teacher_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        embedded = self.embedding(self.word_dropout(target_in))
        # Masks of all steps are drawn together, so that they can be tied over time.
        time, size = embedded.shape[1:]
        embedding_mask = self.embedding_dropout.mask(embedded, time, size)
        output_mask = self.output_dropout.mask(embedded, time, size)
        layer_masks = [self.layer_dropout.mask(embedded, time, self.hidden_size) for _ in range(1, self.num_layers)]
        if teacher_mask is None and self._runs_batched(layer_masks):
            y = self.embedding_dropout(embedded, embedding_mask)
            pre_output, attention_weights = self._run_batched(y, state, encoded)
            all_logits: Tensor = self.output(self.output_dropout(pre_output, output_mask))
            return all_logits, attention_weights
        pre_outputs: list[Tensor] = []
        logits: list[Tensor] = []
        weights: list[Tensor] = []
        for t, y in enumerate(embedded.split(1, dim=1)):
            if teacher_mask is not None and t > 0:
                predicted = self.embedding(logits[-1].argmax(dim=2))
                y = torch.where(teacher_mask[:, t, None, None], y, predicted)
            y = self.embedding_dropout(y, _at(embedding_mask, t))
            pre_output, state, step_weights = self._advance(y, state, encoded, [_at(mask, t) for mask in layer_masks])
            pre_outputs.append(self.output_dropout(pre_output, _at(output_mask, t)))
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

    @property
    def _stacks(self) -> list[RecurrentStack]:
        return [stack for stack in self.layers if isinstance(stack, RecurrentStack)]

    def _runs_batched(self, layer_masks: Sequence[Tensor | None]) -> bool:
        """Return whether all steps run as one function, which is faster on a CPU for every size that was measured."""
        weight = self.output.weight
        stacks = self._stacks
        is_plain = self.num_layers == 1 or not (self.residual or any(mask is not None for mask in layer_masks))
        backends = ("auto", "batched") if weight.device.type == "cpu" else ("batched",)
        return (
            is_plain
            and isinstance(self.attention, AdditiveAttention)
            and not torch.is_autocast_enabled(weight.device.type)
            and all(
                stack.cell.batched is not None and stack.backend in backends and not stack.norms for stack in stacks
            )
        )

    def _run_batched(self, embedded: Tensor, state: State, encoded: EncoderOutput) -> tuple[Tensor, Tensor]:
        """Return the pre-outputs and the weights of all steps."""
        attention = self.attention
        assert isinstance(attention, AdditiveAttention)
        inputs = Inputs(
            embedded=embedded.transpose(0, 1).contiguous(),
            feed=state[-1],
            keys=encoded.keys,
            annotations=encoded.annotations,
            states=state[:-1],
            layers=[list(stack.layer_weights(0)[0].values()) for stack in self._stacks],
            scoring=[attention.query.weight, attention.energy.weight],
            deep=[self.deep_output.weight, self.deep_output.bias],
        )
        if torch.is_grad_enabled():
            for stack in self._stacks:
                stack.last_backend = "batched"
        return run_steps([stack.cell for stack in self._stacks], attention, encoded.mask, inputs)

    def _advance(
        self, y: Tensor, state: State, encoded: EncoderOutput, masks: Sequence[Tensor | None]
    ) -> tuple[Tensor, State, Tensor]:
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
