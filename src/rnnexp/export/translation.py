"""The graphs of a translator: the encoder, and one step of the decoder."""

from collections.abc import Mapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from rnnexp.export.parts import Export, Part, Run
from rnnexp.export.stack import RunLayer, TraceableStack
from rnnexp.models import Seq2Seq
from rnnexp.models.decoder import EncoderOutput
from rnnexp.recurrent import RecurrentStack, State
from rnnexp.recurrent.layout import make_mask
from rnnexp.text.vocabulary import BOS, EOS, PAD, UNK


class EncoderGraph(nn.Module):
    """The encoder of a network, and the first state of its decoder.

    Args:
        network: the network; its encoder gets a stack that can be traced.
        run_layer: runs a layer of that stack.
    """

    def __init__(self, network: Seq2Seq, run_layer: RunLayer) -> None:
        super().__init__()
        self.network = network
        stack = network.encoder.stack
        network.encoder.stack = TraceableStack(stack, run_layer)  # type: ignore[assignment]

    def forward(self, source: Tensor, lengths: Tensor) -> tuple[Tensor, ...]:
        """Return annotations, keys, and the state [batch, ...] each, for token ids [batch, source_time]."""
        encoded, state = self.network.encode(source, lengths)
        return encoded.annotations, encoded.keys, *state


class DecoderGraph(nn.Module):
    """One step of the decoder.

    Args:
        network: the network; its decoder computes the equations of its cells.
    """

    def __init__(self, network: Seq2Seq) -> None:
        super().__init__()
        self.network = network
        for stack in network.decoder.layers:
            assert isinstance(stack, RecurrentStack)
            stack.backend = "reference"

    def forward(
        self, tokens: Tensor, annotations: Tensor, keys: Tensor, lengths: Tensor, *state: Tensor
    ) -> tuple[Tensor, ...]:
        """Return logits [batch, vocab] of the next tokens, attention weights [batch, source_time], and the next state.

        Args:
            tokens: the last tokens, at first BOS, int64 [batch].
            annotations, keys: from the encoder.
            lengths: the tokens of each source, int64 [batch].
            state: the state after the step before.
        """
        encoded = EncoderOutput(annotations, keys, make_mask(lengths, annotations).squeeze(2))
        logits, after, weights = self.network.step(tokens, state, encoded)
        return logits, weights, *after


class TranslationExport(Export):
    """The export of a translator."""

    def parts(self, run_layer: RunLayer) -> list[Part]:
        network: Seq2Seq = deepcopy(self.predictor.module)
        # Sizes that differ from the number of layers and directions, with which torch.export would identify them.
        batch, time = 5, 7
        source, lengths = torch.full((batch, time), EOS), time - torch.arange(batch)
        with torch.no_grad():
            encoded, state = network.encode(source, lengths)
        annotations: Sequence[int | str] = ("batch", "source_time", encoded.annotations.shape[2])
        keys: Sequence[int | str] = ("batch", "source_time", encoded.keys.shape[2])
        states = {f"state_{number}": ("batch", tensor.shape[1]) for number, tensor in enumerate(state)}
        shared = {"annotations": annotations, "keys": keys}
        vocab = network.decoder.output.out_features
        # The first state may be one tensor of zeros several times.
        arguments = (
            *(torch.full((batch,), BOS), encoded.annotations, encoded.keys, lengths),
            *(each.clone() for each in state),
        )
        after = {f"next_{name}": shape for name, shape in states.items()}
        return [
            Part(
                "decoder",
                DecoderGraph(deepcopy(network)).eval(),
                arguments,
                {"tokens": ("batch",), **shared, "lengths": ("batch",), **states},
                {"logits": ("batch", vocab), "weights": ("batch", "source_time"), **after},
            ),
            Part(
                "encoder",
                EncoderGraph(network, run_layer).eval(),
                (source, lengths),
                {"source": ("batch", "source_time"), "lengths": ("batch",)},
                {**shared, **states},
            ),
        ]

    def stand_in(self, runs: Mapping[str, Run]) -> nn.Module:
        return ExportedTranslator(runs["encoder"], runs["decoder"], self.predictor.module)

    def small(self, batch: Any, size: int, time: int) -> tuple[Any, ...]:  # noqa: ANN401
        source, lengths = batch.source[:size, :time].cpu(), batch.source_lengths[:size].clamp(max=time)
        return source, lengths, batch.target[:size, :-1].cpu()

    def time_of(self, batch: Any) -> int:  # noqa: ANN401
        return int(batch.source.shape[1])

    def description(self, batch: Any) -> dict[str, Any]:  # noqa: ANN401, ARG002
        predictor = self.predictor
        return {
            "tokenizers": predictor.tokenizers.to_plain(),
            "special_tokens": {"pad": PAD, "unknown": UNK, "begin": BOS, "end": EOS},
            "search": {
                "beam_size": predictor.beam_size,
                "length_penalty": predictor.length_penalty,
                "max_ratio": predictor.limits.max_ratio,
                "max_extra": predictor.limits.max_extra,
            },
        }


class ExportedTranslator(nn.Module):
    """A network that runs its exported graphs.

    Args:
        encoder, decoder: run the graphs.
        network: the network itself, for its sizes.
    """

    def __init__(self, encoder: Run, decoder: Run, network: Seq2Seq) -> None:
        super().__init__()
        self._encoder, self._decoder = encoder, decoder
        self.decoder = network.decoder

    def encode(self, source: Tensor, source_lengths: Tensor) -> tuple[EncoderOutput, State]:
        """Return the encoded source and the first state, see `Seq2Seq.encode`."""
        annotations, keys, *state = (each.to(source.device) for each in self._encoder(source.cpu(), source_lengths))
        mask = make_mask(source_lengths, annotations).squeeze(2)
        return EncoderOutput(annotations, keys, mask), tuple(state)

    def step(self, tokens: Tensor, state: State, encoded: EncoderOutput) -> tuple[Tensor, State, Tensor]:
        """Take one step, see `Seq2Seq.step`. The graph has as many sources as tokens."""
        width = len(tokens) // len(encoded.mask)
        sources = (encoded.annotations, encoded.keys, encoded.mask.sum(dim=1))
        arguments = (tokens, *(each.repeat_interleave(width, dim=0) for each in sources), *state)
        logits, weights, *after = (
            each.to(tokens.device) for each in self._decoder(*(each.cpu() for each in arguments))
        )
        return logits, tuple(after), weights

    def forward(
        self,
        source: Tensor,
        source_lengths: Tensor,
        target_in: Tensor,
        teacher_forcing: float = 1.0,  # noqa: ARG002
    ) -> Tensor:
        """Return the logits of targets, see `Seq2Seq.forward`."""
        encoded, state = self.encode(source, source_lengths)
        logits = []
        for tokens in target_in.unbind(1):
            of_step, state, _ = self.step(tokens, state, encoded)
            logits.append(of_step)
        return torch.stack(logits, dim=1)
