"""A trained network that translates sentences."""

import warnings
from collections.abc import Sequence

from rnnexp.decoding import Limits
from rnnexp.models import Seq2Seq
from rnnexp.tasks.predictor import Predictor, RecordedNetwork
from rnnexp.tasks.translation.translator import MAX_SOURCE_TOKENS, Translator
from rnnexp.text.tokenizer_pair import TokenizerPair

BATCH_SIZE = 64
"""Sentences that are translated together."""


class SentencePredictor(Predictor):
    """A trained translator, which searches as the test of its run did.

    Example:
        >>> model = rnnexp.load("outputs/train/...")
        >>> model.translate(["the dog sleeps ."])
        ['le chien dort .']

    Args:
        module: the network.
        tokenizers: the tokenizers of both languages.
        beam_size, length_penalty, limits: see `rnnexp.decoding.beam_search`.
    """

    module: Seq2Seq

    def __init__(
        self, module: Seq2Seq, tokenizers: TokenizerPair, beam_size: int, length_penalty: float, limits: Limits
    ) -> None:
        self.module, self.tokenizers, self.beam_size = module, tokenizers, beam_size
        self.length_penalty, self.limits = length_penalty, limits

    @classmethod
    def of_record(cls, record: RecordedNetwork) -> "SentencePredictor":
        tokenizers, task = TokenizerPair.from_plain(record.checkpoint["tokenizers"]), record.task
        module = task["network"](record.make_stack, len(tokenizers.source), len(tokenizers.target))
        limits = Limits(max_ratio=task["max_ratio"], max_extra=task["max_extra"])
        return cls(module, tokenizers, task["beam_size"], task["length_penalty"], limits)

    def translate(self, sentences: Sequence[str], beam_size: int | None = None) -> list[str]:
        """Return the translation of each sentence. Of a very long one the beginning is translated, with a warning.

        Args:
            sentences: texts of the source language.
            beam_size: hypotheses per sentence, 1 for a greedy search; None for that of the run's test.
        """
        size = self.beam_size if beam_size is None else beam_size
        translator = Translator([self.module], self.tokenizers, size, 1, self.length_penalty, self.limits)
        texts = [sentences] if isinstance(sentences, str) else list(sentences)
        parts = [texts[start : start + BATCH_SIZE] for start in range(0, len(texts), BATCH_SIZE)]
        translated = [each for part in parts for each in translator.translate(part)]
        if num_cut := sum(each.is_cut for each in translated):
            warnings.warn(
                f"{num_cut} of {len(translated)} sentences have more than {MAX_SOURCE_TOKENS:,} tokens, of which only "
                "the first are translated",
                stacklevel=2,
            )
        return [each.candidates[0].text for each in translated]
