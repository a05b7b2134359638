"""Translation of text by one trained network or by an ensemble."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rnnexp.decoding import Hypotheses, Limits, beam_search, greedy_search, require_search
from rnnexp.models import Seq2Seq
from rnnexp.text.tokenizer_pair import TokenizerPair
from rnnexp.text.vocabulary import BOS, EOS, PAD, UNK

MAX_SOURCE_TOKENS = 2000
"""Tokens of a sentence that are translated; the rest of a longer one is left out, since the search takes minutes."""


class Candidate(NamedTuple):
    """One translation of a sentence."""

    text: str
    score: float
    """the log-probability divided by length ** length_penalty"""
    tokens: list[str]
    """in readable form, EOS the last"""


class TranslatedSentence(NamedTuple):
    """The translations of one sentence."""

    tokens: list[str]
    """tokens of the source in readable form, EOS the last"""
    num_unknown: int
    """the number of source tokens that are not in the vocabulary"""
    candidates: list[Candidate]
    """distinct translations by descending score; one without tokens for a sentence without words"""
    weights: NDArray[np.float32] | None = None
    """attention weights of the best candidate [tokens, source tokens], a mean over networks; None unless requested"""
    is_cut: bool = False
    """whether only its first MAX_SOURCE_TOKENS tokens were translated"""


class Translator:
    """A translator that searches with one network or several of one vocabulary.

    Args:
        models: the networks in evaluation mode, on one device.
        tokenizers: the tokenizers of the networks.
        beam_size, n_best, length_penalty, limits: see `rnnexp.decoding.beam_search`.

    Raises:
        ValueError: for sizes outside the range of the search.
    """

    def __init__(
        self,
        models: Sequence[Seq2Seq],
        tokenizers: TokenizerPair,
        beam_size: int,
        n_best: int,
        length_penalty: float,
        limits: Limits,
    ) -> None:
        require_search(beam_size, n_best, length_penalty)
        self.models, self.tokenizers = models, tokenizers
        self.beam_size, self.n_best, self.length_penalty, self.limits = beam_size, n_best, length_penalty, limits

    @property
    def device(self) -> torch.device:
        """The device of the networks."""
        return next(self.models[0].parameters()).device

    @torch.no_grad()
    def translate(self, sentences: Sequence[str], align: bool = False) -> list[TranslatedSentence]:
        """Translate a batch of sentences. A sentence without words has an empty translation.

        Args:
            align: return attention weights, too; it takes a second pass of the decoder.

        Returns:
            The translations in the order of the sentences.
        """
        whole = self.tokenizers.source.encode_batch([sentence.strip() for sentence in sentences])
        encoded = [ids[:MAX_SOURCE_TOKENS] for ids in whole]
        results = [
            self._untranslated(ids)._replace(is_cut=len(ids) < len(all_ids))
            for ids, all_ids in zip(encoded, whole, strict=True)
        ]
        # The longest first, as in the batches of validation.
        nonempty = sorted((index for index, ids in enumerate(encoded) if ids), key=lambda index: -len(encoded[index]))
        if nonempty:
            rows = [torch.tensor([*encoded[index], EOS]) for index in nonempty]
            lengths = torch.tensor([len(row) for row in rows])
            source = pad_sequence(rows, batch_first=True, padding_value=PAD).to(self.device)
            searched = self._search(source, lengths)
            weights = self._align(source, lengths, searched.tokens[:, 0]) if align else None
            for row, (index, hypotheses, scores) in enumerate(
                zip(nonempty, searched.tokens.tolist(), searched.scores.tolist(), strict=True)
            ):
                candidates = [
                    self._candidate(ids, score)
                    for ids, score in zip(hypotheses, scores, strict=True)
                    if score > -math.inf
                ]
                alignment = None
                if weights is not None:
                    alignment = weights[row, : len(candidates[0].tokens), : int(lengths[row])].float().numpy()
                results[index] = results[index]._replace(candidates=candidates, weights=alignment)
        return results

    def _search(self, source: Tensor, lengths: Tensor) -> Hypotheses:
        # A beam of size 1 finds the same, with more bookkeeping.
        if self.beam_size == 1:
            return greedy_search(self.models, source, lengths, self.length_penalty, self.limits)
        return beam_search(self.models, source, lengths, self.beam_size, self.n_best, self.length_penalty, self.limits)

    def _untranslated(self, ids: list[int]) -> TranslatedSentence:
        tokens = [*self.tokenizers.source.tokens(ids), "</s>"]
        return TranslatedSentence(tokens, ids.count(UNK), [Candidate("", 0.0, [])])

    def _align(self, source: Tensor, lengths: Tensor, tokens: Tensor) -> Tensor:
        """Return the mean attention weights, [batch, time, source_time], of target tokens, [batch, time]."""
        target_in = torch.cat([tokens.new_full((len(tokens), 1), BOS), tokens[:, :-1]], dim=1)
        return torch.stack([model.align(source, lengths, target_in) for model in self.models]).mean(dim=0).cpu()

    def _candidate(self, ids: list[int], score: float) -> Candidate:
        content = ids[: ids.index(EOS)]
        tokens = [*self.tokenizers.target.tokens(content), "</s>"]
        return Candidate(self.tokenizers.target.decode(content), score, tokens)
