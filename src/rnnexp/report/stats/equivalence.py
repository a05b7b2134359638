"""Equivalence of two settings within a margin, by two one-sided tests (Schuirmann, 1987)."""

import math
from dataclasses import dataclass

from scipy import special, stats

from rnnexp.report.stats.power import fewest_seeds
from rnnexp.report.stats.significance import LEVEL, PairedTestResult


@dataclass(frozen=True)
class MarginTest:
    """The p-values of a difference against a margin.

    Args:
        within: the p-value of "the difference lies within the margin on both sides", the larger of two one-sided tests.
        beyond: the two-sided p-value of "the difference lies outside the margin".
    """

    within: float
    beyond: float


def margin_test(result: PairedTestResult, margin: float) -> MarginTest | None:
    """Return the tests of a mean difference over seeds against a margin; None without a test over seeds.

    Scores that are equal with each seed lie within any margin.

    Args:
        result: the paired test over seeds.
        margin: the margin, positive, in units of the difference.
    """
    if result.difference is None or result.p is None or result.deviation is None:
        return None
    if not result.deviation:
        return MarginTest(within=0.0, beyond=1.0)
    error = result.deviation / math.sqrt(result.num_seeds)
    above, below = (result.difference + margin) / error, (result.difference - margin) / error
    freedom = result.num_seeds - 1
    within = max(special.stdtr(freedom, -above), special.stdtr(freedom, below))
    beyond = min(1.0, 2 * min(special.stdtr(freedom, above), special.stdtr(freedom, -below)))
    return MarginTest(float(within), float(beyond))


def power_of_equivalence(
    difference: float, deviation: float, margin: float, num_seeds: int, level: float = LEVEL
) -> float:
    """Return the probability that both one-sided tests find a difference within the margin.

    It is computed by the noncentral t distribution of each test alone, a lower bound of the exact probability that
    is close to it where it is large (Phillips, 1990, J. Pharmacokinet. Biopharm. 18:137).

    Args:
        difference: the true difference.
        deviation: the standard deviation of the differences, positive.
        margin: the margin, positive.
        num_seeds: the number of pairs, at least 2.
        level: the level of each one-sided test.
    """
    freedom, error = num_seeds - 1, deviation / math.sqrt(num_seeds)
    critical = stats.t.isf(level, freedom)
    upper = stats.nct.cdf(-critical, freedom, (difference - margin) / error)
    lower = stats.nct.cdf(critical, freedom, (difference + margin) / error)
    return max(0.0, float(upper - lower))


def seeds_for_equivalence(difference: float, deviation: float, margin: float, level: float = LEVEL) -> int | None:
    """Return the number of seeds with which a difference is found to lie within the margin; None for too many."""
    if abs(difference) >= margin:
        return None
    return fewest_seeds(lambda number: power_of_equivalence(difference, deviation, margin, number, level))
