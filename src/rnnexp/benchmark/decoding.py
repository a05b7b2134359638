"""The speed of searches by networks that have not learned to end."""

import copy
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from rnnexp.benchmark.measurement import Block, now
from rnnexp.data.batches import TranslationBatch
from rnnexp.decoding import Limits, beam_search, greedy_search
from rnnexp.models import Seq2Seq

WARMUP_SENTENCES = 8


@dataclass(frozen=True)
class ReferenceLengths(Limits):
    """Each translation is exactly as long as its reference, for networks that have not learned to end."""

    references: Tensor | None = None
    """int64 [batch], their tokens without EOS"""

    def longest(self, source_lengths: Tensor) -> Tensor:  # noqa: ARG002
        assert self.references is not None
        return self.references


class Decoding:
    """Translates test sentences, in batches of alike lengths as the test does.

    Args:
        beam_size: None searches greedily.
    """

    def __init__(
        self, model: Seq2Seq, batches: Sequence[TranslationBatch], device: torch.device, beam_size: int | None
    ) -> None:
        self.model, self.batches, self.device = copy.deepcopy(model).to(device).eval(), batches, device
        self.beam_size = beam_size

    def __call__(self) -> Block:
        first = self.batches[-1]
        self.search(TranslationBatch(*(tensor[:WARMUP_SENTENCES] for tensor in first)))
        start = now(self.device)
        for batch in self.batches:
            self.search(batch)
        return Block(now(self.device) - start, float("nan"))

    def search(self, batch: TranslationBatch) -> Tensor:
        """Tokens, int64 [batch, 1, time]."""
        references = batch.target_lengths - 2  # without BOS and EOS
        # A longest length below the shortest takes precedence, so that none is shorter either.
        limits = ReferenceLengths(min_length=int(references.max()) + 1, references=references)
        if self.beam_size is None:
            return greedy_search([self.model], batch.source, batch.source_lengths, limits=limits).tokens
        return beam_search([self.model], batch.source, batch.source_lengths, self.beam_size, limits=limits).tokens
