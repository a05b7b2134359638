"""The sequence-to-sequence network: an encoder, a bridge and a decoder of recurrent stacks."""

from collections.abc import Callable

from torch import Tensor, nn

from rnnexp.core.validation import lookup, require_positive, validate_choice
from rnnexp.models.bridge import BRIDGES
from rnnexp.models.decoder import Decoder, EncoderOutput
from rnnexp.models.encoder import Encoder
from rnnexp.models.fused_decoder import FusedDecoder
from rnnexp.models.scheduled_sampling import SAMPLINGS, draw_teacher_mask
from rnnexp.models.stepwise_decoder import StepwiseDecoder
from rnnexp.recurrent import RecurrentStack, State
from rnnexp.recurrent.layout import make_mask

DECODERS: dict[str, type[Decoder]] = {"fused": FusedDecoder, "stepwise": StepwiseDecoder}
TYINGS = {
    "none": "three matrices",
    "output": "target embedding = output layer",
    "all": "source embedding = target embedding = output layer",
}


class Seq2Seq(nn.Module):
    """An attentional encoder-decoder (Bahdanau, Cho & Bengio, 2015, arXiv:1409.0473) of any cell, depth and direction.

    Args:
        make_stack: called as `make_stack(input_size=...)` for the encoder; see `Decoder` for the decoder's layers.
        source_vocab_size, target_vocab_size: the numbers of tokens, including special tokens.
        embedding_size: features of an embedding, on both sides, and of the output layer's input.
        make_decoder_stack: makes the decoder's layers; None for make_stack.
        decoder_layers: the number of decoder layers; None for that of the encoder.
        decoder: `fused` (no loop over time in training) or `stepwise` (input feeding, own tokens in training).
        attention: `additive`, `general`, `dot` or `none`.
        bridge: the source of the decoder's initial state: `final` states, `mean` annotation, or `zero`.
        tied_embeddings: `none`, `output` (target embedding = output layer), or `all` (also = source embedding).
        embedding_dropout: probability of zeroing a feature of an embedding, on both sides.
        annotation_dropout: probability of zeroing a feature of an annotation.
        output_dropout: probability of zeroing an input feature of the output layer.
        word_dropout: probability of replacing an input word by the unknown word, on both sides.
        sampling: whether teacher forcing below 1 is drawn by `sentence` or by `token`.

    The dropout between layers is an option of the stack, whose `time_tied_dropout` applies to all dropouts of features.
    The stack initializes recurrent weights. Embeddings are normal with standard deviation 1/sqrt(embedding_size), which
    gives logits of order one if they are tied; the other weights are Glorot uniform (Glorot & Bengio, 2010), their
    biases zero.

    Attributes:
        choices: the arguments that determine the names, shapes and meaning of the weights.

    Raises:
        ValueError: for a size below 1, a probability outside [0, 1), an unknown choice, vocabularies of different sizes
            that should be tied, and the errors of the parts.
    """

    def __init__(
        self,
        make_stack: Callable[..., RecurrentStack],
        source_vocab_size: int,
        target_vocab_size: int,
        embedding_size: int,
        make_decoder_stack: Callable[..., RecurrentStack] | None = None,
        decoder_layers: int | None = None,
        decoder: str = "fused",
        attention: str = "additive",
        bridge: str = "final",
        tied_embeddings: str = "output",
        embedding_dropout: float = 0.0,
        annotation_dropout: float = 0.0,
        output_dropout: float = 0.0,
        word_dropout: float = 0.0,
        sampling: str = "token",
    ) -> None:
        super().__init__()
        require_positive(
            source_vocab_size=source_vocab_size, target_vocab_size=target_vocab_size, embedding_size=embedding_size
        )
        make_decoder, make_bridge = lookup("decoder", decoder, DECODERS), lookup("bridge", bridge, BRIDGES)
        validate_choice("tied_embeddings", tied_embeddings, TYINGS)
        validate_choice("sampling", sampling, SAMPLINGS)
        if tied_embeddings == "all" and source_vocab_size != target_vocab_size:
            raise ValueError(
                f"tied_embeddings=all needs one vocabulary for both sides, not {source_vocab_size} and "
                f"{target_vocab_size} tokens: use a joint vocabulary, or tied_embeddings=output"
            )
        source_embedding = nn.Embedding(source_vocab_size, embedding_size)
        target_embedding = nn.Embedding(target_vocab_size, embedding_size)
        if tied_embeddings == "all":
            target_embedding = source_embedding
        self.sampling = sampling
        self.choices: dict[str, str | int] = {
            "decoder": decoder,
            "attention": attention,
            "bridge": bridge,
            "tied_embeddings": tied_embeddings,
            "embedding_size": embedding_size,
        }
        self.encoder = Encoder(make_stack, source_embedding, embedding_dropout, annotation_dropout, word_dropout)
        stack = self.encoder.stack
        self.decoder = make_decoder(
            make_decoder_stack or make_stack,
            target_embedding,
            annotation_size=stack.output_size,
            num_layers=stack.num_layers if decoder_layers is None else decoder_layers,
            attention=attention,
            tied_output=tied_embeddings != "none",
            embedding_dropout=embedding_dropout,
            output_dropout=output_dropout,
            word_dropout=word_dropout,
        )
        self.bridge = make_bridge(stack, self.decoder.num_layers, self.decoder.hidden_size, self.decoder.num_states)
        self._initialize()

    def _initialize(self) -> None:
        stacks = [module for module in self.modules() if isinstance(module, RecurrentStack)]
        of_cells = {module for stack in stacks for module in stack.modules()}
        for module in self.modules():
            if isinstance(module, nn.Linear) and module not in of_cells:
                nn.init.xavier_uniform_(module.weight)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)
        for module in self.modules():  # last, as an output layer may share an embedding's weight
            if isinstance(module, nn.Embedding):
                nn.init.normal_(module.weight, std=module.embedding_dim**-0.5)

    def encode(self, source: Tensor, source_lengths: Tensor) -> tuple[EncoderOutput, State]:
        """Encode the source.

        Args:
            source: int64 [batch, source_time].
            source_lengths: int64 [batch] on the CPU.

        Returns:
            The encoded source, and the initial state of the decoder, [batch, ...] each.
        """
        annotations, final = self.encoder(source, source_lengths)
        mask = make_mask(source_lengths, annotations).squeeze(2)
        encoded = EncoderOutput(annotations, self.decoder.attention.project(annotations), mask)
        return encoded, self.decoder.initial_state(self.bridge(annotations, mask, final))

    def forward(
        self, source: Tensor, source_lengths: Tensor, target_in: Tensor, teacher_forcing: float = 1.0
    ) -> Tensor:
        """Compute the logits of targets.

        Args:
            source: int64 [batch, source_time]. Tokens past the end of a sentence have no effect.
            source_lengths: int64 [batch] on the CPU.
            target_in: BOS and the tokens after it, without the last, int64 [batch, target_time].
            teacher_forcing: probability that a token is taken from target_in; otherwise it is the decoder's own.

        Returns:
            Logits [batch, target_time, vocab] of the token after each of target_in.

        Raises:
            ValueError: for teacher forcing outside [0, 1], or below 1 with the fused decoder.
        """
        encoded, state = self.encode(source, source_lengths)
        teacher_mask = draw_teacher_mask(target_in, teacher_forcing, self.sampling)
        logits: Tensor
        logits, _ = self.decoder(target_in, state, encoded, teacher_mask)
        return logits

    def align(self, source: Tensor, source_lengths: Tensor, target_in: Tensor) -> Tensor:
        """Return the attention weights over given targets, [batch, target_time, source_time].

        The targets may be translations found by a search. Arguments: see `forward`.
        """
        encoded, state = self.encode(source, source_lengths)
        weights: Tensor
        _, weights = self.decoder(target_in, state, encoded)
        return weights

    def step(self, tokens: Tensor, state: State, encoded: EncoderOutput) -> tuple[Tensor, State, Tensor]:
        """Take one step of the decoder.

        Args:
            tokens: the last tokens, at first BOS, int64 [rows]; each sentence of `encoded` has the same number of
                consecutive rows.
            state: the state after the previous step, [rows, ...] each.
            encoded: the encoded sources, from `encode`.

        Returns:
            Logits [rows, vocab] of the next token, the next state, and attention weights [rows, source_time].
        """
        return self.decoder.step(tokens, state, encoded)
