"""The probability that one setting is better than another with a new seed."""

import math
from dataclasses import dataclass

from scipy import stats
from scipy.optimize import brentq

from rnnexp.report.stats.significance import LEVEL, PairedTestResult

LARGEST = 1000.0
"""The statistic from which on the probabilities are 0 or 1 in double precision, and scipy is slow."""


@dataclass(frozen=True)
class Superiority:
    """P(A > B): the probability that A is better than B if both are trained with another seed.

    Args:
        probability: the estimate.
        low: the lower end of its 95 % interval.
        high: the upper end.
    """

    probability: float
    low: float
    high: float

    def show(self) -> str:
        """Return the probability with its interval, `0.92 [0.41 to 1.00]`."""
        return f"{self.probability:.2f} [{self.low:.2f} to {self.high:.2f}]"


def superiority(result: PairedTestResult) -> Superiority | None:
    """Return P(A > B) with its interval; None without a deviation over seeds.

    It is the common-language effect size (McGraw and Wong, 1992) of normally distributed differences A - B, which the
    t-test assumes: Phi(mean / deviation). Its interval is exact under this assumption: the noncentralities for which
    the observed t would be the 2.5 % or the 97.5 % point of the noncentral t distribution (Reiser and Guttman, 1986,
    Technometrics 28:253). It contains 1/2 if and only if the t-test without a correction gives p > 0.05.

    Args:
        result: the paired test over seeds of A - B.
    """
    if result.difference is None or not result.deviation:
        return None
    root = math.sqrt(result.num_seeds)
    effect = result.difference / result.deviation
    statistic = min(abs(effect) * root, LARGEST)
    ends = (_noncentrality(statistic, result.num_seeds - 1, level) for level in (1 - LEVEL / 2, LEVEL / 2))
    low, middle, high = sorted(math.copysign(1.0, effect) * value for value in (*ends, statistic))
    return Superiority(*(float(stats.norm.cdf(value / root)) for value in (middle, low, high)))


def _noncentrality(statistic: float, freedom: int, probability: float) -> float:
    """Return the noncentrality for which the noncentral t has a cumulative probability at a statistic of at least 0."""

    def excess(noncentrality: float) -> float:
        found = float(stats.nct.cdf(statistic, freedom, noncentrality))
        # In the far tails scipy gives NaN.
        return (float(noncentrality < statistic) if math.isnan(found) else found) - probability

    return float(brentq(excess, -3.0, 5.0 + 3 * statistic))
