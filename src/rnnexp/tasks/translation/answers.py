"""The answers of a translation run: a translation of each sentence."""

import shlex
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from sacrebleu.significance import PairedTest

from rnnexp.core.errors import UserError
from rnnexp.core.validation import escape_interpolation, escape_quotes, is_plain, quote_override
from rnnexp.tasks.answers import Answers, GradedAnswers, RecordedRun, SampleTest
from rnnexp.tasks.translation.metrics import (
    DEFAULT_TOKENIZER,
    corpus_scores,
    exact_matches,
    make_bleu,
    require_bleu_tokenizer,
    tokenizer_of_signature,
)
from rnnexp.tracking import translations_file

LEAST_RESAMPLES, MOST_RESAMPLES = 1000, 5000
"""More than the latter, which 23 settings in a report would need, take minutes."""


@dataclass(frozen=True)
class Translations(GradedAnswers):
    """Translated sentences.

    Args:
        sources: the sentences.
        references: their translations in the corpus.
        translations: the translations of the network.
        distances: the distance in words between the words that must agree, by sentence; empty if the corpus does not
            contain it.
        bleu_tokenizer: the tokenizer of sacrebleu that the run computed BLEU with.
    """

    metric = "test/exact_match"
    combination = "average the probabilities of each token while they translate"
    sources: Sequence[str]
    references: Sequence[str]
    translations: Sequence[str]
    distances: Sequence[int] = ()
    bleu_tokenizer: str = DEFAULT_TOKENIZER

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each translation is its reference, bool [sentences]."""
        return np.array(exact_matches(self.translations, self.references), dtype=bool)

    @property
    def measures(self) -> dict[str, float]:
        """Exact match, BLEU and chrF."""
        scores = corpus_scores(self.translations, self.references, self.bleu_tokenizer)
        return {f"test/{name}": value for name, value in scores.items()}

    def ensemble_command(self, runs: Sequence[RecordedRun], output: Path) -> str:
        """Return the command with which the runs translate the test set together."""
        paths = [str(run.files.path) for run in runs]
        # A comma or a quote in a path would be read as part of the list.
        quoted = (p if is_plain(p) else f"'{escape_quotes(escape_interpolation(p))}'" for p in paths)
        places = ",".join(quoted)
        source = quote_override("input", runs[0].files.translations_file)
        return (
            f"python -m rnnexp.translate {shlex.quote(f'run=[{places}]')} {source} {quote_override('output', output)}"
        )

    def answered(self, texts: Sequence[str]) -> Self | None:
        """Return other translations of the same sentences.

        Raises:
            ValueError: for another number of translations.
        """
        if len(texts) != len(self.sources):
            raise ValueError(f"{len(texts):,} translations of {len(self.sources):,} sentences")
        return replace(self, translations=list(texts))

    def same_samples(self, other: Answers) -> bool:
        """Whether both have the same sources and references."""
        return isinstance(other, Translations) and (self.sources, self.references) == (other.sources, other.references)

    def compare(self, others: Sequence[Self], level: float) -> list[SampleTest]:
        """Return sacrebleu's paired bootstrap of BLEU (Koehn, 2004), with the tokenizer that the runs recorded."""
        if level * MOST_RESAMPLES < 1:
            reason = f"so many settings need more than {MOST_RESAMPLES:,} resamples"
            return [SampleTest(None, reason=reason) for _ in others]
        comparable = [other for other in others if other.bleu_tokenizer == self.bleu_tokenizer]
        tests = iter(self._bootstrap(comparable, level) if comparable else ())
        return [next(tests) if other in comparable else self._over_other_tokens(other) for other in others]

    def _over_other_tokens(self, other: Self) -> SampleTest:
        return SampleTest(None, reason=f"BLEU over other tokens ({other.bleu_tokenizer}, not {self.bleu_tokenizer})")

    def _bootstrap(self, others: Sequence[Self], level: float) -> list[SampleTest]:
        systems = [("best", self.translations), *((str(n), other.translations) for n, other in enumerate(others))]
        metrics = {"BLEU": make_bleu(self.bleu_tokenizer)}
        _signatures, columns = PairedTest(systems, metrics, [self.references], "bs", num_resamples(level))()
        baseline, *scores = columns["BLEU"]
        return [SampleTest(float(each.p_value), baseline.score - each.score) for each in scores]  # type: ignore[union-attr, arg-type]

    def describe(self, sample: int) -> dict[str, str]:
        """Return the source and the reference."""
        return {"source": self.sources[sample], "reference": self.references[sample]}

    def show(self, sample: int) -> str:
        """Return the translation."""
        return self.translations[sample]


def num_resamples(level: float) -> int:
    """Return the number of resamples with which a p-value can be below a level."""
    return max(LEAST_RESAMPLES, int(1 / level))


def read(run: RecordedRun) -> Translations:
    """Return the content of test_translations.jsonl.

    Raises:
        UserError: if the file is missing or cannot be read.
    """
    file = run.files.translations_file
    rows = translations_file.read_translations(file)
    try:
        sources, references, translations = (
            [row[key] for row in rows] for key in ("source", "reference", "translation")
        )
    except KeyError as error:
        raise UserError(f"{file} cannot be read ({type(error).__name__}); was it cut short?") from None
    if not rows:
        raise UserError(f"{file} is empty")
    if not all(isinstance(text, str) for text in (*sources, *references, *translations)):
        raise UserError(f"{file} does not hold translations: a sentence is not a text")
    distances = [row["distance"] for row in rows if type(row.get("distance")) is int]
    distances = distances if len(distances) == len(rows) else []
    return Translations(sources, references, translations, distances, _bleu_tokenizer(run))


def _bleu_tokenizer(run: RecordedRun) -> str:
    signature = run.text("signatures.bleu")
    try:
        tokenizer = tokenizer_of_signature(signature) if signature else DEFAULT_TOKENIZER
    except ValueError as error:
        raise UserError(f"{run.files.result_file}: {error}") from None
    require_bleu_tokenizer(tokenizer)
    return tokenizer
