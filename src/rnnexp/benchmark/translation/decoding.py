"""The speed of decoding with untrained networks."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnexp.benchmark.measurement import TimedSteps, now
from rnnexp.data.batches import TranslationBatch
from rnnexp.decoding import Limits, beam_search, greedy_search
from rnnexp.models import Seq2Seq

WARMUP_SENTENCES = 8


@dataclass(frozen=True)
class ReferenceLengths(Limits):
    """Limits that make each translation exactly as long as its reference.

    Args:
        references: tokens of each reference without EOS, int64 [batch].
    """

    references: Tensor | None = None

    def longest(self, source_lengths: Tensor) -> Tensor:  # noqa: ARG002
        """Return the lengths of the references."""
        assert self.references is not None
        return self.references


class Decoding:
    """A callable that translates batches of sentences of similar length, as in the test.

    Args:
        model: the model to copy.
        batches: the batches, on the device.
        device: the device to which the copy is moved.
        beam_size: hypotheses per sentence; None for greedy search.
    """

    def __init__(
        self, model: Seq2Seq, batches: Sequence[TranslationBatch], device: torch.device, beam_size: int | None
    ) -> None:
        self.model, self.batches, self.device = copy.deepcopy(model).to(device).eval(), batches, device
        self.beam_size = beam_size

    def __call__(self) -> TimedSteps:
        """Translate all batches, and return the time."""
        self.search(TranslationBatch(*(tensor[:WARMUP_SENTENCES] for tensor in self.batches[-1])))
        start = now(self.device)
        for batch in self.batches:
            self.search(batch)
        return TimedSteps(now(self.device) - start)

    def search(self, batch: TranslationBatch) -> Tensor:
        """Return the tokens of the translations, int64 [batch, 1, time]."""
        references = batch.target_lengths - 2  # without BOS and EOS
        # The maximum length takes precedence over the minimum, so every translation has the length of its reference.
        limits = ReferenceLengths(min_length=int(references.max()) + 1, references=references)
        if self.beam_size is None:
            return greedy_search([self.model], batch.source, batch.source_lengths, limits=limits).tokens
        return beam_search([self.model], batch.source, batch.source_lengths, self.beam_size, limits=limits).tokens
