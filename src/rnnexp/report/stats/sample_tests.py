"""Tests whether settings differ on the samples of the test set, combined over seeds.

The test itself is a matter of the task: see `rnnexp.tasks.answers.Answers.compare`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from statistics import fmean

from rnnexp.core.errors import UserError
from rnnexp.report.records.answers import read_answers
from rnnexp.report.records.groups import Setting
from rnnexp.report.records.runs import Run
from rnnexp.report.stats.significance import LEVEL, PairedTestResult, combine, num_other_pairs
from rnnexp.tasks.answers import Answers, SampleTest
from rnnexp.tasks.registry import TaskKind


@dataclass
class _SeedResults:
    """The results for one setting against the best, one per shared seed.

    Args:
        tests: the tests that have a p-value.
        reason: the reason for which there is no p-value, if there is none.
    """

    tests: list[SampleTest] = field(default_factory=list)
    reason: str = "no shared seed"

    def add(self, test: SampleTest) -> None:
        """Add the result of one seed."""
        if test.p is None:
            self.reason = test.reason
        else:
            self.tests.append(test)

    def combined(self, method: str) -> PairedTestResult:
        """Return one result for all seeds."""
        if not self.tests:
            return PairedTestResult(None, self.reason, method=method)
        alone_right = [test.alone_right for test in self.tests if test.alone_right]
        if alone_right:
            # The smallest possible p-value, if all disagreements were in favor of one side.
            least = combine([2.0 ** (1 - sum(counts)) for counts in alone_right], [1.0] * len(alone_right))
            if least >= LEVEL:
                fewest = min(map(sum, alone_right))
                reason = f"too few disagreements ({fewest}): no p could fall below {LEVEL}"
                return PairedTestResult(None, reason, method=method)
        leads = [test.lead for test in self.tests]
        p = combine([test.p for test in self.tests if test.p is not None], leads)
        detail = " : ".join(f"{fmean(side):.4g}" for side in zip(*alone_right, strict=True))
        return PairedTestResult(p, "", fmean(leads), None, len(self.tests), detail, method)


def compare_samples(kind: TaskKind, best: Setting, others: Sequence[Setting]) -> list[PairedTestResult]:
    """Return the task's test of the best setting against each other one on the same samples, over the shared seeds."""
    results = [_SeedResults() for _ in others]
    for of_best, found in _pairs(kind, best, others, results):
        # With Holm's correction the smallest p-value is compared with this level.
        level = LEVEL / (len(others) + num_other_pairs(len(others)))
        tests = of_best.compare([answers for _, answers in found], level)
        for (result, _), test in zip(found, tests, strict=True):
            result.add(test)
    return [result.combined(kind.sample_test or "") for result in results]


def _pairs(
    kind: TaskKind, best: Setting, others: Sequence[Setting], results: Sequence[_SeedResults]
) -> Iterator[tuple[Answers, list[tuple[_SeedResults, Answers]]]]:
    """Yield for each seed the answers of the best, and those of the others with their results.

    For answers that cannot be read, or are about other samples, the reason is set in the results.
    """
    for seed, run in best.counted.items():
        with_seed = ((result, other) for result, other in zip(results, others, strict=True) if seed in other.counted)
        sharing = [(result, other.counted[seed]) for result, other in with_seed]
        if not sharing:
            continue
        try:
            of_best = read_answers(kind, run)
        except UserError as error:
            for result, _ in sharing:
                result.reason = str(error)
            continue
        if answers := [
            (result, found) for result, other in sharing if (found := _read_comparable(kind, of_best, other, result))
        ]:
            yield of_best, answers


def _read_comparable(kind: TaskKind, of_best: Answers, other: Run, result: _SeedResults) -> Answers | None:
    try:
        answers: Answers = read_answers(kind, other)
    except UserError as error:
        result.reason = str(error)
        return None
    if of_best.same_samples(answers):
        return answers
    result.reason = "not tested on the same samples"
    return None
