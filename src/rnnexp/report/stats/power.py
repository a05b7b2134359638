"""The power of the paired t-test: which difference a number of seeds shows, and how many seeds show a difference."""

import math
from collections.abc import Callable

from scipy import stats
from scipy.optimize import brentq

from rnnexp.report.stats.significance import LEVEL

POWER = 0.8
"""The probability with which a difference should be found if it exists."""
MOST_SEEDS = 1000
"""The largest number of seeds that is considered."""


def power_of_paired_t(effect: float, num_seeds: int, level: float = LEVEL) -> float:
    """Return the probability that the two-sided paired t-test finds a difference, with its sign.

    The test statistic follows the noncentral t distribution (Cohen, 1988, section 2.3).

    Args:
        effect: the true difference in units of the standard deviation of the differences.
        num_seeds: the number of pairs, at least 2.
        level: the level of the test.
    """
    freedom = num_seeds - 1
    critical = stats.t.isf(level / 2, freedom)
    return float(stats.nct.sf(critical, freedom, abs(effect) * math.sqrt(num_seeds)))


def smallest_difference(deviation: float, num_seeds: int, level: float = LEVEL) -> float:
    """Return the smallest true difference that the paired t-test finds with the probability `POWER`.

    Args:
        deviation: the standard deviation of the differences.
        num_seeds: the number of pairs, at least 2.
        level: the level of the test.
    """
    critical = float(stats.t.isf(level / 2, num_seeds - 1))
    # With this effect the statistic is nearly always above its critical value.
    largest = 10 * (critical + 10) / math.sqrt(num_seeds)
    return deviation * float(brentq(lambda effect: power_of_paired_t(effect, num_seeds, level) - POWER, 0.0, largest))


def seeds_for_difference(difference: float, deviation: float, level: float = LEVEL) -> int | None:
    """Return the number of seeds with which the paired t-test finds a difference with the probability `POWER`.

    Args:
        difference: the true difference.
        deviation: the standard deviation of the differences, positive.
        level: the level of the test.

    Returns:
        The number; None if it is larger than `MOST_SEEDS`.
    """
    return fewest_seeds(lambda number: power_of_paired_t(difference / deviation, number, level))


def fewest_seeds(power: Callable[[int], float]) -> int | None:
    """Return the smallest number of seeds, at least 2, with a power of `POWER`; None if it is above `MOST_SEEDS`.

    Args:
        power: the power by the number of seeds, which it increases with.
    """
    low, high = 1, 2
    while power(high) < POWER:
        if high == MOST_SEEDS:
            return None
        low, high = high, min(2 * high, MOST_SEEDS)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if power(middle) >= POWER else (middle, high)
    return high
