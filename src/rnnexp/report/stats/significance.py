"""Means with their intervals, paired tests over seeds, and corrections for many tests."""

import math
from bisect import bisect_left
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
from scipy import special, stats

LEVEL = 0.05
"""A smaller p-value is called significant; intervals cover 1 - LEVEL."""
ROUNDING = 2.0**-22
"""The error of a difference of two scores, relative to them: metrics have 24 significant bits."""


@dataclass(frozen=True)
class Summary:
    """The summary of n numbers.

    Args:
        n: the number of values.
        mean: their mean.
        deviation: the standard deviation with n - 1 in the denominator; None for a single number.
        half_width: half the width of the mean's 95 % interval by Student's t; None for a single number.
    """

    n: int
    mean: float
    deviation: float | None
    half_width: float | None


def summarize(values: Sequence[float]) -> Summary:
    """Return the summary of some values.

    Raises:
        ValueError: if there are no values.
    """
    if not values:
        raise ValueError("no values to summarize")
    n = len(values)
    if n == 1:
        return Summary(1, values[0], None, None)
    deviation = stdev(values)
    quantile = float(stats.t.ppf(1 - LEVEL / 2, n - 1))
    return Summary(n, fmean(values), deviation, quantile * deviation / math.sqrt(n))


@dataclass(frozen=True)
class PairedTestResult:
    """The result of a paired test of the difference a - b.

    Args:
        p: the p-value; None if there is none, for the given reason.
        reason: why there is no p-value.
        difference: the mean difference.
        half_width: half the width of the difference's 95 % interval; None without a test.
        num_seeds: the number of shared seeds.
        detail: additional counts of the test, as text.
        method: the name of the test.
        deviation: the standard deviation of the differences over seeds.
    """

    p: float | None
    reason: str = ""
    difference: float | None = None
    half_width: float | None = None
    num_seeds: int = 0
    detail: str = ""
    method: str = "paired t"
    deviation: float | None = None


def paired_t(a: Mapping[str, float], b: Mapping[str, float]) -> PairedTestResult:
    """Return the two-sided t-test of the differences a - b over the seeds that both have."""
    shared = [seed for seed in a if seed in b]
    if len(shared) < 2:
        return PairedTestResult(None, f"too few shared seeds ({len(shared)}; at least 2)", num_seeds=len(shared))
    differences = np.array([a[seed] - b[seed] for seed in shared])
    mean = float(differences.mean())
    # Scores have any unit, so what counts as equal is relative to them.
    rounding = ROUNDING * max(max(abs(a[seed]), abs(b[seed])) for seed in shared)
    # Shares of few samples have few possible values, so equal differences may be a coincidence.
    if differences.std() <= rounding:
        if abs(mean) <= rounding:
            return PairedTestResult(1.0, "", mean, 0.0, len(shared), deviation=0.0)
        reason = f"the difference is the same for all {len(shared)} seeds: no t-test"
        return PairedTestResult(None, reason, mean, None, len(shared), deviation=0.0)
    # All pairs of a report are tested: stats.ttest_rel with its interval takes 12 times as long.
    deviation, freedom = float(differences.std(ddof=1)), len(shared) - 1
    error = deviation / math.sqrt(len(shared))
    p = 2 * float(special.stdtr(freedom, -abs(mean) / error))
    half_width = float(special.stdtrit(freedom, 1 - LEVEL / 2)) * error
    return PairedTestResult(p, "", mean, half_width, len(shared), deviation=deviation)


def combine(p_values: Sequence[float], differences: Sequence[float]) -> float:
    """Return one p-value for "one side is better with every seed" from the two-sided p-values of the seeds.

    It is the largest of them, and 1 if the seeds disagree about which side is better: an intersection-union test
    (Berger, 1982, Technometrics 24:295). The seeds are tested on the same samples, so their p-values depend on each
    other. This test is valid under any dependence; Fisher's method would count one coincidence several times.

    Args:
        p_values: one per seed.
        differences: one per seed; the sign shows which side was better.

    Raises:
        ValueError: if there are no p-values.
    """
    if not p_values:
        raise ValueError("no p-values to combine")
    agree = all(difference > 0 for difference in differences) or all(difference < 0 for difference in differences)
    return max(p_values) if agree else 1.0


def holm(p_values: Sequence[float | None], others: Sequence[float | None] = ()) -> list[float | None]:
    """Return p-values adjusted for their number (Holm, 1979); None is not counted.

    Args:
        p_values: one per test.
        others: the p-values of the other tests of the family; 1 for one that is not done. The family of the tests
            against the best of some settings are those of all pairs, since the best is chosen by the same scores.
    """
    order = sorted((p, place) for place, p in enumerate([*p_values, *others]) if p is not None)
    adjusted: list[float | None] = [None] * (len(p_values) + len(others))
    largest = 0.0
    for rank, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[place] = largest
    return adjusted[: len(p_values)]


def holm_levels(p_values: Sequence[float | None], others: Sequence[float | None] = ()) -> list[float]:
    """Return for each test the level that Holm's method gives it, if the p-values of all others stay as they are.

    A p-value below it is below `LEVEL` after `holm`. A missing p-value gives the level that a new one would have.

    Args:
        p_values, others: see `holm`.
    """
    ordered = sorted(p for p in (*p_values, *others) if p is not None)
    levels = []
    for p in p_values:
        # The place that the test itself takes among the ordered ones, which is left out.
        own = len(ordered) if p is None else bisect_left(ordered, p)
        number = len(ordered) + (p is None)
        rejected = 0
        while rejected < number - 1 and ordered[rejected + (rejected >= own)] < LEVEL / (number - rejected):
            rejected += 1
        levels.append(LEVEL / (number - rejected))
    return levels


def num_other_pairs(number: int) -> int:
    """Return the number of pairs of settings without the best, of which `number` are compared with the best."""
    return number * (number - 1) // 2


def show_p(p: float) -> str:
    """Format a p-value with two or three digits after the decimal point."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
