"""Who is best, and who is not significantly worse."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.records.measures import Measure
from rnnexp.report.stats.sample_tests import SAMPLE_TESTS
from rnnexp.report.stats.tests import LEVEL, Test, holm, paired_t

BEST, EVEN, WORSE = "best", "not significantly worse", "significantly worse"
UNSURE, UNTESTED = "worse with each seed, too few to be sure", "not tested"


@dataclass(frozen=True)
class Comparison:
    """One setting beside the best. Differences say how far the best is ahead."""

    setting: Setting
    verdict: str
    seeds: Test | None = None
    """None for the best itself"""
    seeds_p: float | None = None
    """adjusted for the number of comparisons with the best, by Holm's method"""
    samples: Test | None = None
    """None for the best itself, and for a task without such a test"""
    samples_p: float | None = None


def sample_test_name(group: ComparisonGroup) -> str:
    """What the test over the samples is called; empty if the task has none."""
    return SAMPLE_TESTS[group.task][0] if group.task in SAMPLE_TESTS else ""


def compare_with_best(group: ComparisonGroup) -> list[Comparison]:
    """Every measured setting against the best, in the group's order.

    Only the paired t-test over seeds answers how another training would come out, so that it alone calls something
    significantly worse. Few seeds can hardly do so: what the test over samples, which speaks of the networks that were
    trained, finds worse with every seed is called neither that nor as good as the best.
    """
    if not group.measured:
        return []
    best, *others = group.measured
    seeds = [_lead(group.main, best, other) for other in others]
    seeds_p = holm([test.p for test in seeds])
    samples: Sequence[Test | None] = [None for _ in others]
    if group.task in SAMPLE_TESTS and others:
        samples = SAMPLE_TESTS[group.task][1](best, others)
    samples_p = holm([test.p if test else None for test in samples])
    return [
        Comparison(best, BEST),
        *(
            Comparison(other, _verdict((test, p), (on_samples, on_samples_p)), test, p, on_samples, on_samples_p)
            for other, test, p, on_samples, on_samples_p in zip(others, seeds, seeds_p, samples, samples_p, strict=True)
        ),
    ]


def _lead(measure: Measure, best: Setting, other: Setting) -> Test:
    scores = best.by_seed(measure), other.by_seed(measure)
    return paired_t(*scores) if measure.higher_is_better else paired_t(*reversed(scores))


def _verdict(seeds: tuple[Test, float | None], samples: tuple[Test | None, float | None]) -> str:
    if _is_worse(*seeds):
        return WORSE
    if _is_worse(*samples):
        return UNSURE
    return EVEN if seeds[1] is not None else UNTESTED


def _is_worse(lead: Test | None, p: float | None) -> bool:
    # Over the seeds that both have, the best may even trail.
    return lead is not None and p is not None and p < LEVEL and (lead.difference or 0.0) > 0
