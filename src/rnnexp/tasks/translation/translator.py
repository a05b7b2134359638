"""Text in, text out: sentences translated by one trained network, or by several that vote."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from rnnexp.decoding import Limits, beam_search, require_search
from rnnexp.models import Seq2Seq
from rnnexp.text.tokenizer_pair import TokenizerPair
from rnnexp.text.vocabulary import BOS, EOS, PAD, UNK


class Candidate(NamedTuple):
    """One translation of a sentence."""

    text: str
    score: float
    """log-probability divided by length ** length_penalty"""
    tokens: list[str]
    """as a person can read them, EOS the last"""


class TranslatedSentence(NamedTuple):
    """What is made of one sentence."""

    tokens: list[str]
    """of the source, as a person can read them, EOS the last"""
    num_unknown: int
    """tokens of the source that the vocabulary does not have"""
    candidates: list[Candidate]
    """distinct, by falling score; one without tokens where there was nothing to translate"""
    weights: NDArray[np.float32] | None = None
    """if asked for, where the decoder looked for each token of the best candidate [tokens, source tokens]; with several
    networks their mean"""


class Translator:
    """Searches with networks of one vocabulary.

    Args:
        models: in evaluation mode, on one device.
        tokenizers: theirs.
        beam_size, n_best, length_penalty, limits: see `rnnexp.decoding.beam_search`.

    Raises:
        ValueError: for sizes that the search refuses.
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
        """Where the networks are."""
        return next(self.models[0].parameters()).device

    @torch.no_grad()
    def translate(self, sentences: Sequence[str], align: bool = False) -> list[TranslatedSentence]:
        """Translates a batch of sentences, in their order. A sentence without words has an empty translation.

        Args:
            align: say where the decoder looked, too; it takes a second pass of the decoder.
        """
        encoded = self.tokenizers.source.encode_batch([sentence.strip() for sentence in sentences])
        results = [self._untranslated(ids) for ids in encoded]
        # The longest first, as they were batched in validation.
        wanted = sorted((index for index, ids in enumerate(encoded) if ids), key=lambda index: -len(encoded[index]))
        if wanted:
            rows = [torch.tensor([*encoded[index], EOS]) for index in wanted]
            lengths = torch.tensor([len(row) for row in rows])
            source = pad_sequence(rows, batch_first=True, padding_value=PAD).to(self.device)
            found = beam_search(
                self.models, source, lengths, self.beam_size, self.n_best, self.length_penalty, self.limits
            )
            weights = self._align(source, lengths, found.tokens[:, 0]) if align else None
            for row, (index, hypotheses, scores) in enumerate(
                zip(wanted, found.tokens.tolist(), found.scores.tolist(), strict=True)
            ):
                candidates = [
                    self._candidate(ids, score)
                    for ids, score in zip(hypotheses, scores, strict=True)
                    if score > -math.inf
                ]
                looked = None
                if weights is not None:
                    looked = weights[row, : len(candidates[0].tokens), : int(lengths[row])].float().numpy()
                results[index] = results[index]._replace(candidates=candidates, weights=looked)
        return results

    def _untranslated(self, ids: list[int]) -> TranslatedSentence:
        tokens = [*self.tokenizers.source.tokens(ids), "</s>"]
        return TranslatedSentence(tokens, ids.count(UNK), [Candidate("", 0.0, [])])

    def _align(self, source: Tensor, lengths: Tensor, tokens: Tensor) -> Tensor:
        """Mean weights [batch, time, source_time] with which each of the tokens [batch, time] was written."""
        target_in = torch.cat([tokens.new_full((len(tokens), 1), BOS), tokens[:, :-1]], dim=1)
        return torch.stack([model.align(source, lengths, target_in) for model in self.models]).mean(dim=0).cpu()

    def _candidate(self, ids: list[int], score: float) -> Candidate:
        written = ids[: ids.index(EOS)]
        tokens = [*self.tokenizers.target.tokens(written), "</s>"]
        return Candidate(self.tokenizers.target.decode(written), score, tokens)
