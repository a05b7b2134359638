"""The sensitivity of comparisons with the best: what their seeds could have shown."""

from collections.abc import Sequence
from dataclasses import dataclass

from rnnexp.report.stats.equivalence import margin_test, seeds_for_equivalence
from rnnexp.report.stats.power import seeds_for_difference, smallest_difference
from rnnexp.report.stats.significance import LEVEL, PairedTestResult, holm, holm_levels
from rnnexp.report.stats.superiority import Superiority, superiority

EQUIVALENT, BEYOND, UNDECIDED = "equivalent", "not equivalent", "undecided"


@dataclass(frozen=True)
class Sensitivity:
    """The sensitivity of a comparison over seeds; empty without a deviation over seeds.

    Args:
        smallest: the smallest difference that these seeds show with the probability `POWER`.
        num_seeds: the number of shared seeds that would settle the comparison with that probability, if difference and
            deviation are those observed; None if it is more than `MOST_SEEDS`.
        superiority: the probability that the best is better with another seed.
        equivalence: EQUIVALENT, BEYOND or UNDECIDED; empty without a margin.
    """

    smallest: float | None = None
    num_seeds: int | None = None
    superiority: Superiority | None = None
    equivalence: str = ""

    @property
    def is_settled(self) -> bool:
        """Whether the difference was found to lie within the margin, or outside."""
        return self.equivalence in (EQUIVALENT, BEYOND)


def sensitivities(
    tests: Sequence[PairedTestResult], other_pairs: Sequence[PairedTestResult] = (), margin: float | None = None
) -> list[Sensitivity]:
    """Return what each of several tests over seeds could have shown.

    The level of each test is the one that Holm's method gives it beside those of all other pairs.

    Args:
        tests: the tests of the best against each other setting.
        other_pairs: the tests between these.
        margin: the difference below which two settings count as equivalent, if any.
    """
    against, of_others = (
        [margin_test(test, margin) if margin else None for test in each] for each in (tests, other_pairs)
    )
    within = [each.within if each else None for each in against]
    beyond, beyond_of_others = ([each.beyond if each else None for each in found] for found in (against, of_others))
    # The best was chosen by the same scores, which makes its leads larger: equivalence is not found more often by that.
    verdicts = zip(holm(within), holm(beyond, beyond_of_others), strict=True)
    equivalences = [_equivalence(*adjusted) if margin else "" for adjusted in verdicts]
    of_leads = holm_levels([test.p for test in tests], [test.p for test in other_pairs])
    levels = zip(of_leads, holm_levels(within), strict=True)
    return [
        _sensitivity(test, margin, equivalence, *level)
        for test, equivalence, level in zip(tests, equivalences, levels, strict=True)
    ]


def _equivalence(within: float | None, beyond: float | None) -> str:
    if within is not None and within < LEVEL:
        return EQUIVALENT
    return BEYOND if beyond is not None and beyond < LEVEL else UNDECIDED


def _sensitivity(
    test: PairedTestResult, margin: float | None, equivalence: str, level: float, level_within: float
) -> Sensitivity:
    if test.difference is None or not test.deviation:
        return Sensitivity(equivalence=equivalence)
    numbers = [seeds_for_difference(test.difference, test.deviation, level)]
    if margin:
        numbers.append(seeds_for_equivalence(test.difference, test.deviation, margin, level_within))
    return Sensitivity(
        smallest_difference(test.deviation, test.num_seeds, level),
        min((number for number in numbers if number), default=None),
        superiority(test),
        equivalence,
    )
