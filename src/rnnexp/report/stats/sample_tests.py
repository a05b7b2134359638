"""Whether two settings differ on the samples of the test set: McNemar's test, the paired bootstrap of BLEU."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean
from typing import TypeVar

from sacrebleu.metrics.bleu import BLEU
from sacrebleu.significance import PairedTest

from rnnexp.core.errors import UserError
from rnnexp.report.records.answers import Predictions, Translations, read_predictions, read_translations
from rnnexp.report.records.groups import Setting
from rnnexp.report.records.runs import Run
from rnnexp.report.stats.tests import LEVEL, Test, combine, mcnemar

Answers = TypeVar("Answers", Predictions, Translations)

LEAST_RESAMPLES = 1000


@dataclass
class _PerSeed:
    """What the test of each shared seed has given for one setting against the best."""

    p_values: list[float] = field(default_factory=list)
    differences: list[float] = field(default_factory=list)
    alone_right: list[tuple[int, int]] = field(default_factory=list)
    """McNemar: how many samples the best alone has right, and how many the other alone"""
    reason: str = "no shared seed"
    """why there is no p-value, if there is none"""

    def add(self, p: float, difference: float) -> None:
        self.p_values.append(p)
        self.differences.append(difference)

    def combined(self, detail: str = "") -> Test:
        """Of all seeds."""
        number = len(self.p_values)
        if not number:
            return Test(None, self.reason)
        return Test(combine(self.p_values, self.differences), "", fmean(self.differences), None, number, detail)


def mcnemar_with_best(best: Setting, others: Sequence[Setting]) -> list[Test]:
    """McNemar's exact test of each setting against the best, on every shared seed, combined over the seeds."""
    results = [_PerSeed() for _ in others]
    for of_best, answers in _pairs(best, others, results, read_predictions):
        for its, predictions in answers:
            only_best, only_other, p = mcnemar(of_best.right, predictions.right)
            its.add(p, only_best - only_other)
            its.alone_right.append((only_best, only_other))
    return [_mcnemar_combined(its) for its in results]


def _mcnemar_combined(its: _PerSeed) -> Test:
    if its.alone_right:
        # The smallest that the test could give, had all disagreements gone one way.
        least = combine([2.0 ** (1 - sum(counts)) for counts in its.alone_right], [1.0] * len(its.alone_right))
        if least >= LEVEL:
            fewest = min(map(sum, its.alone_right))
            return Test(None, f"too few disagreements ({fewest}): no p could fall below {LEVEL}")
    detail = " : ".join(f"{fmean(side):.4g}" for side in zip(*its.alone_right, strict=True))
    return its.combined(detail)


def bootstrap_with_best(best: Setting, others: Sequence[Setting]) -> list[Test]:
    """The paired bootstrap of BLEU (Koehn, 2004) by sacrebleu, of each against the best, combined over shared seeds."""
    results = [_PerSeed() for _ in others]
    for of_best, answers in _pairs(best, others, results, read_translations):
        systems = [
            ("best", of_best.translations),
            *((str(n), each.translations) for n, (_, each) in enumerate(answers)),
        ]
        # Forced, as everywhere: an untrained network may end its sentences in " .", which sacrebleu would warn of.
        metrics = {"BLEU": BLEU(force=True)}
        _signatures, columns = PairedTest(systems, metrics, [of_best.references], "bs", num_resamples(len(others)))()
        baseline, *scores = columns["BLEU"]
        for (its, _), score in zip(answers, scores, strict=True):
            its.add(float(score.p_value), baseline.score - score.score)  # type: ignore[union-attr, arg-type]
    return [its.combined() for its in results]


def num_resamples(num_tests: int) -> int:
    """So many that a p-value can stay below LEVEL when it is adjusted for this many tests."""
    return max(LEAST_RESAMPLES, int(num_tests / LEVEL))


def _pairs(
    best: Setting, others: Sequence[Setting], results: Sequence[_PerSeed], read: Callable[[Run], Answers]
) -> Iterator[tuple[Answers, list[tuple[_PerSeed, Answers]]]]:
    """For every seed the answers of the best, and of the others that were asked the same, each with where its results
    go. What cannot be read or compared becomes a reason there.
    """
    for seed, run in best.counted.items():
        sharing = [
            (its, other.counted[seed]) for its, other in zip(results, others, strict=True) if seed in other.counted
        ]
        if not sharing:
            continue
        try:
            of_best = read(run)
        except UserError as error:
            for its, _ in sharing:
                its.reason = str(error)
            continue
        answers = []
        for its, other in sharing:
            try:
                theirs = read(other)
            except UserError as error:
                its.reason = str(error)
                continue
            if of_best.same_test(theirs):
                answers.append((its, theirs))
            else:
                its.reason = "not tested on the same samples"
        if answers:
            yield of_best, answers


SampleTest = Callable[[Setting, Sequence[Setting]], list[Test]]
SAMPLE_TESTS: Mapping[str, tuple[str, SampleTest]] = {
    "classification": ("McNemar", mcnemar_with_best),
    "translation": ("paired bootstrap", bootstrap_with_best),
}
"""By task: what the test is called, and the test."""
