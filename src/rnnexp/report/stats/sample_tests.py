"""Tests whether settings differ on the samples of the test set: McNemar's test, the paired bootstrap of BLEU.

The registry of tasks names the test of each task: a function of the best setting and the others.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TypeVar

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest

from rnnexp.core.errors import UserError
from rnnexp.report.records.answers import Predictions, Translations, noting_damage, read_predictions, read_translations
from rnnexp.report.records.groups import Setting
from rnnexp.report.records.runs import Run
from rnnexp.report.stats.significance import LEVEL, PairedTestResult, combine, mcnemar

SomeAnswers = TypeVar("SomeAnswers", Predictions, Translations)

LEAST_RESAMPLES = 1000
MCNEMAR, BOOTSTRAP = "McNemar's exact test", "sacrebleu's paired bootstrap of BLEU"


@dataclass
class _SeedResults:
    """The results for one setting against the best, one per shared seed.

    Args:
        p_values: the p-values.
        differences: the leads of the best.
        alone_right: for McNemar, the numbers of samples that only the best and only the other setting has right.
        reason: the reason for which there is no p-value, if there is none.
    """

    p_values: list[float] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    alone_right: list[tuple[int, int]] = field(default_factory=list)
    reason: str = "no shared seed"

    def add(self, p: float, difference: float) -> None:
        """Add the result of one seed."""
        self.p_values.append(p)
        self.differences.append(difference)

    def combined(self, method: str, detail: str = "") -> PairedTestResult:
        """Return one result for all seeds."""
        number = len(self.p_values)
        if not number:
            return PairedTestResult(None, self.reason, method=method)
        p = combine(self.p_values, self.differences)
        return PairedTestResult(p, "", fmean(self.differences), None, number, detail, method)


def mcnemar_with_best(best: Setting, others: Sequence[Setting]) -> list[PairedTestResult]:
    """Return McNemar's exact test of each setting against the best, combined over the shared seeds."""
    results = [_SeedResults() for _ in others]
    for of_best, answers in _pairs(best, others, results, read_predictions):
        for result, predictions in answers:
            only_best, only_other, p = mcnemar(of_best.right, predictions.right)
            result.add(p, only_best - only_other)
            result.alone_right.append((only_best, only_other))
    return [_combine_mcnemar(result) for result in results]


def _combine_mcnemar(result: _SeedResults) -> PairedTestResult:
    if result.alone_right:
        # The smallest possible p-value, if all disagreements were in favor of one side.
        least = combine([2.0 ** (1 - sum(counts)) for counts in result.alone_right], [1.0] * len(result.alone_right))
        if least >= LEVEL:
            fewest = min(map(sum, result.alone_right))
            reason = f"too few disagreements ({fewest}): no p could fall below {LEVEL}"
            return PairedTestResult(None, reason, method=MCNEMAR)
    detail = " : ".join(f"{fmean(side):.4g}" for side in zip(*result.alone_right, strict=True))
    return result.combined(MCNEMAR, detail)


def bootstrap_with_best(best: Setting, others: Sequence[Setting]) -> list[PairedTestResult]:
    """Return sacrebleu's paired bootstrap of BLEU (Koehn, 2004) of each setting against the best, over shared seeds.

    BLEU is computed with the tokenizer that the runs recorded.
    """
    results = [_SeedResults() for _ in others]
    for of_best, found in _pairs(best, others, results, read_translations):
        answers = [(result, other) for result, other in found if other.bleu_tokenizer == of_best.bleu_tokenizer]
        for result, other in found:
            if other.bleu_tokenizer != of_best.bleu_tokenizer:
                result.reason = f"BLEU over other tokens ({other.bleu_tokenizer}, not {of_best.bleu_tokenizer})"
        if not answers:
            continue
        systems = [
            ("best", of_best.translations),
            *((str(n), translations.translations) for n, (_, translations) in enumerate(answers)),
        ]
        # An untrained network may end its sentences with " .", which sacrebleu would treat as tokenized text.
        metrics = {"BLEU": BLEU(tokenize=of_best.bleu_tokenizer, force=True)}
        _signatures, columns = PairedTest(systems, metrics, [of_best.references], "bs", num_resamples(len(others)))()
        baseline, *scores = columns["BLEU"]
        for (result, _), score in zip(answers, scores, strict=True):
            result.add(float(score.p_value), baseline.score - score.score)  # type: ignore[union-attr, arg-type]
    return [result.combined(BOOTSTRAP) for result in results]


def num_resamples(num_tests: int) -> int:
    """Return the number of resamples with which a p-value can be below LEVEL after correction for `num_tests` tests."""
    return max(LEAST_RESAMPLES, int(num_tests / LEVEL))


def _pairs(
    best: Setting, others: Sequence[Setting], results: Sequence[_SeedResults], read: Callable[[Run], SomeAnswers]
) -> Iterator[tuple[SomeAnswers, list[tuple[_SeedResults, SomeAnswers]]]]:
    """Yield for each seed the answers of the best, and those of the others with their results.

    For answers that cannot be read, or are about other samples, the reason is set in the results.
    """
    for seed, run in best.counted.items():
        with_seed = ((result, other) for result, other in zip(results, others, strict=True) if seed in other.counted)
        sharing = [(result, other.counted[seed]) for result, other in with_seed]
        if not sharing:
            continue
        try:
            of_best = noting_damage(run, read)
        except UserError as error:
            for result, _ in sharing:
                result.reason = str(error)
            continue
        if answers := [
            (result, found) for result, other in sharing if (found := _read_comparable(of_best, other, read, result))
        ]:
            yield of_best, answers


def _read_comparable(
    of_best: SomeAnswers, other: Run, read: Callable[[Run], SomeAnswers], result: _SeedResults
) -> SomeAnswers | None:
    try:
        answers = noting_damage(other, read)
    except UserError as error:
        result.reason = str(error)
        return None
    if of_best.same_samples(answers):
        return answers
    result.reason = "not tested on the same samples"
    return None
