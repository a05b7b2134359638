"""The ranking of settings over several data sets: Friedman's test, and Wilcoxon's for each pair (Demsar, 2006)."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.same_settings import labels_across
from rnnexp.report.stats.significance import LEVEL, holm, show_p
from rnnexp.tasks.registry import Measure

FEWEST = 3
"""The smallest number of data sets, and of settings, that are ranked."""

DIGITS = 9
"""Digits after the decimal point in which scores are compared."""


@dataclass(frozen=True)
class AcrossRanking:
    """The ranking of the settings that were measured on every one of several data sets.

    Args:
        measure: the measure by which they are compared.
        datasets: the titles of the data sets.
        labels: the settings, the best mean rank first.
        ranks: the mean rank of each setting, 1 for the best; equal scores share the mean of their ranks.
        friedman_p: the p-value of Friedman's test that all settings are alike.
        pairs: the p-value of Wilcoxon's signed-rank test of each two settings, by their places, corrected by Holm's
            method.
    """

    measure: Measure
    datasets: Sequence[str]
    labels: Sequence[str]
    ranks: Sequence[float]
    friedman_p: float
    pairs: dict[tuple[int, int], float]

    @property
    def cliques(self) -> list[tuple[int, int]]:
        """The first and the last place of each largest run of settings of which no two differ significantly."""
        found: list[tuple[int, int]] = []
        for first in range(len(self.labels)):
            last = first
            while last + 1 < len(self.labels) and self._are_alike(first, last + 1):
                last += 1
            if last > first and (not found or last > found[-1][1]):
                found.append((first, last))
        return found

    def _are_alike(self, first: int, last: int) -> bool:
        return all(self.pairs[pair] >= LEVEL for pair in combinations(range(first, last + 1), 2))

    @property
    def smallest_p(self) -> float:
        """The smallest p-value that a pair could have after the correction: with one winner on every data set."""
        return min(1.0, len(self.pairs) * 2.0 ** (1 - len(self.datasets)))

    def describe(self) -> str:
        """Return the ranking in a few sentences."""
        ranked = "; ".join(f"{label} {rank:.2f}" for label, rank in zip(self.labels, self.ranks, strict=True))
        text = (
            f"Mean rank by {self.measure.label} over {len(self.datasets)} data sets: {ranked}. Friedman's test that "
            f"all settings are alike: p {_relation(self.friedman_p)}."
        )
        if self.smallest_p >= LEVEL:
            text += (
                f" With {len(self.datasets)} data sets and {len(self.pairs)} pairs no pair could differ significantly: "
                f"the smallest possible p is {self.smallest_p:.2g} after Holm's correction."
            )
        return text


def _relation(p: float) -> str:
    shown = show_p(p)
    return shown if shown.startswith("<") else f"= {shown}"


def rank_across(groups: Sequence[ComparisonGroup]) -> list[AcrossRanking]:
    """Return a ranking for each measure by which at least `FEWEST` data sets compare at least `FEWEST` settings.

    Settings are ranked that have a score on every data set, see `labels_across`. Groups of a search are left out: their
    best trial was chosen by the same scores.
    """
    by_measure: defaultdict[Measure, list[ComparisonGroup]] = defaultdict(list)
    for group in groups:
        if not group.is_search and group.measured:
            by_measure[group.main].append(group)
    return [
        ranking
        for measure, members in by_measure.items()
        if len(members) >= FEWEST and (ranking := _rank(measure, members))
    ]


def _rank(measure: Measure, groups: Sequence[ComparisonGroup]) -> AcrossRanking | None:
    labels_of = labels_across(groups)
    by_label = [
        {labels_of[setting]: float(np.mean(setting.scores)) for setting in reversed(group.measured)} for group in groups
    ]
    labels = [label for label in by_label[0] if all(label in scores for scores in by_label)]
    if len(labels) < FEWEST:
        return None
    scores = np.round([[of_group[label] for label in labels] for of_group in by_label], DIGITS)
    # The best has rank 1.
    ranks = stats.rankdata(-scores if measure.higher_is_better else scores, axis=1).mean(axis=0)
    order = np.argsort(ranks, kind="stable")
    scores, ranks = scores[:, order], ranks[order]
    pairs = list(combinations(range(len(labels)), 2))
    adjusted = holm([_wilcoxon(scores[:, first] - scores[:, second]) for first, second in pairs])
    friedman = stats.friedmanchisquare(*scores.T).pvalue if np.ptp(scores, axis=1).any() else 1.0
    return AcrossRanking(
        measure,
        [group.title for group in groups],
        [labels[place] for place in order],
        [float(rank) for rank in ranks],
        float(friedman),
        {pair: p for pair, p in zip(pairs, adjusted, strict=True) if p is not None},
    )


def _wilcoxon(differences: NDArray[np.float64]) -> float:
    """Return the p-value of the signed-rank test, exact for few data sets; 1 if all differences are zero."""
    # Equal differences of decimal numbers differ in their last bits, and would not share a rank.
    rounded = np.round(differences, DIGITS)
    return float(stats.wilcoxon(rounded).pvalue) if rounded.any() else 1.0
