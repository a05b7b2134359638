"""The base class of decoders: recurrent layers, attention and deep output, which subclasses connect.

A decoder runs over a whole target or takes single steps, with the same results. Its state is a flat tuple of tensors
with the batch first, so that a search can reorder them.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor, nn

from rnnexp.core.validation import lookup, require_positive
from rnnexp.models.attention import ATTENTIONS
from rnnexp.models.dropout import WordDropout
from rnnexp.recurrent import RecurrentStack, State
from rnnexp.recurrent.dropout import SequenceDropout


class EncoderOutput(NamedTuple):
    """The encoded source, computed once per sentence."""

    annotations: Tensor
    """[batch, source_time, annotation_size]"""
    keys: Tensor
    """[batch, source_time, key_size], the projected annotations"""
    mask: Tensor
    """True at positions of the source, bool [batch, source_time]"""

    def select(self, sentences: Tensor) -> "EncoderOutput":
        """Return the output for some of the sentences, int64 [kept]."""
        return EncoderOutput(*(tensor.index_select(0, sentences) for tensor in self))


class Decoder(nn.Module, ABC):
    """Recurrent layers over target embeddings, attention, and deep output (Pascanu et al., 2014, arXiv:1312.6026).

    The output layer reads tanh(W [h; y; c]) of the top layer's h, the last token's embedding y and the context c, as in
    Bahdanau et al. (2015) and LIUM-CVC's systems.

    Args:
        make_stack: called as `make_stack(input_size=..., num_layers=1, bidirectional=False,
            learned_initial_state=False)` for each layer: the context enters between them, and the bridge supplies the
            first state. The stack's `dropout`, `time_tied_dropout` and `residual` apply between these layers.
        embedding: the embedding of the target tokens.
        annotation_size: features of an annotation.
        num_layers: the number of layers.
        attention: `additive`, `general`, `dot` or `none`.
        tied_output: whether the output layer has the weight of the embedding (Press & Wolf, 2017, arXiv:1608.05859).
        embedding_dropout: probability of zeroing a feature of an embedding.
        output_dropout: probability of zeroing an input feature of the output layer.
        word_dropout: probability of replacing an input word by the unknown word.

    Attributes:
        hidden_size: features of h.
        num_layers: the number of layers.
        num_states: tensors in the state of a layer.

    Raises:
        ValueError: for a size below 1, a probability outside [0, 1), an unknown attention, sizes that dot attention
            does not support, and the errors of the stack.
    """

    def __init__(
        self,
        make_stack: Callable[..., RecurrentStack],
        embedding: nn.Embedding,
        annotation_size: int,
        num_layers: int = 1,
        attention: str = "additive",
        tied_output: bool = True,
        embedding_dropout: float = 0.0,
        output_dropout: float = 0.0,
        word_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        require_positive(annotation_size=annotation_size, num_layers=num_layers)
        make_attention = lookup("attention", attention, ATTENTIONS)
        vocab_size, embedding_size = embedding.num_embeddings, embedding.embedding_dim
        extra_below, extra_above = self.extra_sizes(embedding_size, annotation_size)

        def make_layer(input_size: int) -> RecurrentStack:
            return make_stack(input_size=input_size, num_layers=1, bidirectional=False, learned_initial_state=False)

        bottom = make_layer(embedding_size + extra_below)
        above = (make_layer(bottom.hidden_size + extra_above) for _ in range(num_layers - 1))
        self.hidden_size, self.num_layers, self.num_states = bottom.hidden_size, num_layers, bottom.num_states
        self.residual = bottom.residual
        self.embedding = embedding
        self.layers = nn.ModuleList([bottom, *above])
        self.attention = make_attention(self.hidden_size, annotation_size)
        self.deep_output = nn.Linear(self.hidden_size + embedding_size + annotation_size, embedding_size)
        self.output = nn.Linear(embedding_size, vocab_size)
        if tied_output:
            self.output.weight = embedding.weight
        time_tied = bottom.time_tied_dropout
        self.word_dropout = WordDropout(word_dropout)
        self.embedding_dropout = SequenceDropout(embedding_dropout, time_tied)
        self.layer_dropout = SequenceDropout(bottom.dropout, time_tied)
        self.output_dropout = SequenceDropout(output_dropout, time_tied)

    @property
    def state_size(self) -> int:
        """The number of values that a sentence carries from one step to the next."""
        return self.num_layers * self.num_states * self.hidden_size

    @abstractmethod
    def extra_sizes(self, embedding_size: int, annotation_size: int) -> tuple[int, int]:
        """Return the number of additional input features of the bottom layer, and of each layer above."""

    def initial_state(self, state: State) -> State:
        """Return the initial state, from those of the layers [batch, hidden] each, the bottom layer first."""
        return state

    @abstractmethod
    def forward(
        self, target_in: Tensor, state: State, encoded: EncoderOutput, teacher_mask: Tensor | None = None
    ) -> tuple[Tensor, Tensor]:
        """Run over a whole target.

        Args:
            target_in: BOS and the tokens after it, int64 [batch, target_time].
            state: the initial state.
            encoded: the encoded sources.
            teacher_mask: True for tokens that are read from target_in, bool [batch, target_time]; the first one always
                is. The others are the most likely ones, without a gradient. None reads all tokens from target_in.

        Returns:
            Logits [batch, target_time, vocab] of the token after each, and attention weights [batch, target_time,
            source_time].

        Raises:
            ValueError: for a mask, if the decoder needs all tokens at once.
        """

    @abstractmethod
    def step(self, tokens: Tensor, state: State, encoded: EncoderOutput) -> tuple[Tensor, State, Tensor]:
        """Take one step.

        Args:
            tokens: the last tokens, int64 [rows]; each sentence of `encoded` has the same number of consecutive rows.
            state: the state after the previous step, [rows, ...] each.
            encoded: the encoded sources.

        Returns:
            Logits [rows, vocab] of the next token, the next state, and attention weights [rows, source_time].
        """

    def attend(self, h: Tensor, encoded: EncoderOutput) -> tuple[Tensor, Tensor]:
        """Return contexts and weights [rows, time, ...] for h [rows, time, hidden]; rows of one sentence share it."""
        queries = h.reshape(encoded.mask.shape[0], -1, self.hidden_size)
        contexts, weights = self.attention(queries, encoded.keys, encoded.annotations, encoded.mask)
        return contexts.view(*h.shape[:2], -1), weights.view(*h.shape[:2], -1)

    def run_layer(
        self, index: int, x: Tensor, state: State, extra: Tensor | None = None, mask: Tensor | None = None
    ) -> tuple[Tensor, State]:
        """Run one layer.

        Args:
            index: the number of the layer.
            x: the output of the layer below, or the embeddings [rows, time, features].
            state: the state of all layers, [rows, ...] each.
            extra: additional input features [rows, time, extra], see `extra_sizes`.
            mask: the mask of the layer's dropout; None draws one.

        Returns:
            Outputs [rows, time, hidden] and the final state of the layer, [rows, hidden] each.
        """
        stack = self.layers[index]
        layer_state = state[index * self.num_states : (index + 1) * self.num_states]
        below = x
        if index > 0:
            x = self.layer_dropout(x, mask)
        if extra is not None:
            x = torch.cat([x, extra], dim=2)
        # Under autocast the state may have another type than the input.
        outputs, final = stack(x, None, tuple(tensor.to(x.dtype).unsqueeze(0) for tensor in layer_state))
        if index > 0 and self.residual:
            outputs = below + outputs
        return outputs, tuple(tensor.squeeze(0) for tensor in final)

    def pre_output(self, h: Tensor, embedded: Tensor, contexts: Tensor) -> Tensor:
        """Return the input of the output layer, [rows, time, embedding]."""
        return torch.tanh(self.deep_output(torch.cat([h, embedded, contexts], dim=2)))
