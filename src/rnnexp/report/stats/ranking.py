"""The comparison of every setting of a group with the best."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.stats.sample_tests import compare_samples
from rnnexp.report.stats.sensitivity import Sensitivity, sensitivities
from rnnexp.report.stats.significance import LEVEL, PairedTestResult, holm, num_other_pairs, paired_t
from rnnexp.tasks.registry import Measure

BEST, EVEN, WORSE = "best", "not significantly worse", "significantly worse"
UNSURE, UNTESTED = "worse with each seed, too few seeds for certainty", "not tested"
UNSURE_OF_ONE = "worse with the one shared seed, too few for certainty"


@dataclass(frozen=True)
class Comparison:
    """The comparison of a setting with the best. Differences are positive if the best has the better score.

    Args:
        setting: the setting.
        verdict: BEST, EVEN, WORSE, UNSURE, UNSURE_OF_ONE or UNTESTED.
        seeds: the test over seeds; None for the best itself.
        seeds_p: its p-value after Holm's correction among the tests of all pairs of settings.
        samples: the test over samples; None for the best itself, and if the task has no such test.
        samples_p: its p-value after Holm's correction.
        sensitivity: what the test over seeds could have shown; None for the best itself.
    """

    setting: Setting
    verdict: str
    seeds: PairedTestResult | None = None
    seeds_p: float | None = None
    samples: PairedTestResult | None = None
    samples_p: float | None = None
    sensitivity: Sensitivity | None = None

    @property
    def is_settled(self) -> bool:
        """Whether the test over seeds found a difference, or equivalence or its opposite within a margin."""
        return self.verdict in (BEST, WORSE) or (self.sensitivity is not None and self.sensitivity.is_settled)


def sample_test_name(comparisons: Sequence[Comparison]) -> str:
    """Return the name of the test over samples; empty if the task has none."""
    return next((comparison.samples.method for comparison in comparisons if comparison.samples), "")


def compare_with_best(group: ComparisonGroup, margin: float | None = None) -> list[Comparison]:
    """Return the comparison of every measured setting with the best, in the group's order.

    Only the paired t-test over seeds accounts for the variation between trainings, so a setting is called significantly
    worse only by this test. With few seeds its power is low. The test over samples is about the trained networks: a
    setting that it finds worse with every seed is called neither significantly worse nor as good as the best.

    Args:
        group: the group.
        margin: the difference in units of the shown main measure below which settings count as equivalent, if any.
    """
    if not group.measured:
        return []
    best, *others = group.measured
    seeds = [lead_of(best, other, group.main) for other in others]
    # The best is chosen by the same scores, as any other might have been, so that the tests of all pairs count.
    other_pairs = [lead_of(one, another, group.main) for one, another in combinations(others, 2)]
    seeds_p = holm([test.p for test in seeds], [test.p for test in other_pairs])
    samples: Sequence[PairedTestResult | None] = [None for _ in others]
    # A search is ordered by the validation split, and the samples are those of the test set.
    if group.kind.sample_test is not None and others and not group.is_search:
        samples = compare_samples(group.kind, best, others)
    found_p = [test.p if test else None for test in samples]
    samples_p = holm(found_p, [1.0] * num_other_pairs(sum(p is not None for p in found_p)))
    return [
        Comparison(best, BEST),
        *(
            Comparison(other, _verdict((test, p), (on_samples, on_samples_p)), test, p, on_samples, on_samples_p, shown)
            for other, test, p, on_samples, on_samples_p, shown in zip(
                others, seeds, seeds_p, samples, samples_p, sensitivities(seeds, other_pairs, margin), strict=True
            )
        ),
    ]


def lead_of(best: Setting, other: Setting, measure: Measure) -> PairedTestResult:
    """Return the test over the shared seeds of two settings, with a positive difference if the first is better."""
    scores = best.by_seed(measure), other.by_seed(measure)
    return paired_t(*scores) if measure.higher_is_better else paired_t(*reversed(scores))


def _verdict(
    seeds: tuple[PairedTestResult, float | None], samples: tuple[PairedTestResult | None, float | None]
) -> str:
    if _is_worse(*seeds):
        return WORSE
    if _is_worse(*samples):
        return UNSURE if seeds[0].num_seeds > 1 else UNSURE_OF_ONE
    return EVEN if seeds[1] is not None else UNTESTED


def _is_worse(lead: PairedTestResult | None, p: float | None) -> bool:
    # On the shared seeds the best setting may have the worse mean.
    return lead is not None and p is not None and p < LEVEL and (lead.difference or 0.0) > 0
