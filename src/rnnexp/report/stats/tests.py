"""Means with their intervals, paired tests over seeds and over samples, and what to make of many tests at once."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev

import numpy as np
from numpy.typing import NDArray
from scipy import stats

LEVEL = 0.05
"""What a p-value must stay below to be called significant; intervals cover 1 - LEVEL."""


@dataclass(frozen=True)
class Summary:
    """A sample of n numbers."""

    n: int
    mean: float
    deviation: float | None
    """the standard deviation with n - 1 in the denominator; None for a single number"""
    half_width: float | None
    """of the mean's 95 % interval, by Student's t; None for a single number"""


def summarize(values: Sequence[float]) -> Summary:
    """Raises ValueError for no values."""
    if not values:
        raise ValueError("no values to summarize")
    n = len(values)
    if n == 1:
        return Summary(1, values[0], None, None)
    deviation = stdev(values)
    return Summary(n, fmean(values), deviation, _t_quantile(n - 1) * deviation / math.sqrt(n))


def _t_quantile(degrees_of_freedom: int) -> float:
    return float(stats.t.ppf(1 - LEVEL / 2, degrees_of_freedom))


@dataclass(frozen=True)
class Test:
    """What a paired test says of the difference a - b."""

    # Not a test class, whatever pytest makes of its name.
    __test__ = False

    p: float | None
    """None where it cannot be told, for `reason`"""
    reason: str = ""
    difference: float | None = None
    half_width: float | None = None
    """of the difference's 95 % interval"""
    num_seeds: int = 0
    detail: str = ""


def paired_t(a: Mapping[str, float], b: Mapping[str, float]) -> Test:
    """Student's t-test on the differences a - b over the seeds that both have, two-sided."""
    shared = [seed for seed in a if seed in b]
    if len(shared) < 2:
        return Test(None, f"too few shared seeds ({len(shared)}; at least 2)", num_seeds=len(shared))
    differences = summarize([a[seed] - b[seed] for seed in shared])
    if differences.deviation is None or differences.half_width is None:
        raise AssertionError("two differences have a deviation")
    p, reason = None, ""
    # Scores that are shares of few samples come in steps: equal differences are an accident, not certainty.
    if differences.deviation > 1e-9 * max(1.0, abs(differences.mean)):
        t = differences.mean / (differences.deviation / math.sqrt(len(shared)))
        p = float(2 * stats.t.sf(abs(t), len(shared) - 1))
    elif abs(differences.mean) < 1e-9:
        p = 1.0
    else:
        reason = f"the difference is the same for all {len(shared)} seeds: no t-test"
    return Test(p, reason, differences.mean, differences.half_width, len(shared))


def mcnemar(a_right: NDArray[np.bool_], b_right: NDArray[np.bool_]) -> tuple[int, int, float]:
    """McNemar's test (1947) in its exact form on answers to the same samples, bool [samples].

    Returns:
        How many only a has right, how many only b, and the two-sided p-value: were both equally good, each of these
        would be a's with probability 1/2.
    """
    only_a, only_b = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    number = only_a + only_b
    return only_a, only_b, float(stats.binomtest(only_a, number).pvalue) if number else 1.0


def combine(p_values: Sequence[float], differences: Sequence[float]) -> float:
    """One p-value for "a is better than b with every seed", or b than a, from the two-sided ones of the seeds.

    It is the largest of them, and 1 if the seeds disagree about who is better: an intersection-union test (Berger,
    1982, Technometrics 24:295). The seeds are tested on the same samples, so that their p-values depend on each other.
    Fisher's method would take one accident for several; this test is valid whatever the dependence.

    Args:
        p_values: one per seed.
        differences: of each seed; the sign says which side was better.

    Raises:
        ValueError: for no p-values.
    """
    if not p_values:
        raise ValueError("no p-values to combine")
    agree = all(each > 0 for each in differences) or all(each < 0 for each in differences)
    return max(p_values) if agree else 1.0


def holm(p_values: Sequence[float | None]) -> list[float | None]:
    """P-values adjusted for their number (Holm, 1979): below LEVEL, all hold together. None is not counted."""
    order = sorted((p, place) for place, p in enumerate(p_values) if p is not None)
    adjusted: list[float | None] = [None] * len(p_values)
    largest = 0.0
    for rank, (p, place) in enumerate(order):
        largest = max(largest, min(1.0, (len(order) - rank) * p))
        adjusted[place] = largest
    return adjusted


def show_p(p: float) -> str:
    """With two or three digits after the point: none of them deserves more."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"
