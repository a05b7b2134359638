"""The figure of agreement: the share of words that agree, by distance, for each cell."""

from collections import Counter
from collections.abc import Mapping
from statistics import fmean

from matplotlib.figure import Figure

from rnnexp.core.errors import UserError
from rnnexp.report.records.answers import read_answers
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.tasks.registry import TaskKind
from rnnexp.tasks.translation.plots import accuracy_by_distance

PREFIX = "test/acc_distance/"
"""Metrics with this prefix are shares of words that agree, by distance."""


def distance_curve(kind: TaskKind, setting: Setting) -> dict[int, tuple[float, int]]:
    """Return the share of words that agree, and the number of sentences, by distance in words.

    The share is the mean over seeds. The number is 0 if it is unknown. The result is empty without distances.
    """
    shares: dict[int, list[float]] = {}
    for run in setting.counted.values():
        for name in run.result["metrics"]:
            distance = name.removeprefix(PREFIX)
            share = run.metric(name)
            if name.startswith(PREFIX) and distance.isdecimal() and share is not None and 0 <= share <= 1:
                shares.setdefault(int(distance), []).append(share)
    if not shares:
        return {}
    try:
        numbers: Mapping[int, int] = Counter(read_answers(kind, next(iter(setting.counted.values()))).distances)
    except UserError:
        # The figure then shows no intervals.
        numbers = {}
    return {distance: (fmean(values), numbers.get(distance, 0)) for distance, values in sorted(shares.items())}


def agreement_figure(group: ComparisonGroup) -> Figure | None:
    """Plot a line for the best setting of each cell; None if the data has no distances."""
    curves = {
        label: curve
        for label, setting in group.best_of_each_cell().items()
        if (curve := distance_curve(group.kind, setting))
    }
    return accuracy_by_distance(curves, "Words that agree, by distance") if curves else None
