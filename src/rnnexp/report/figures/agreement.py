"""The phrasebook's question: how well does each cell agree across a distance?"""

from collections import Counter
from collections.abc import Mapping
from statistics import fmean

from matplotlib.figure import Figure

from rnnexp.core.errors import UserError
from rnnexp.plots.translation import accuracy_by_distance
from rnnexp.report.records.answers import read_translations
from rnnexp.report.records.groups import ComparisonGroup, Setting

PREFIX = "test/acc_distance/"


def distance_curve(setting: Setting) -> dict[int, tuple[float, int]]:
    """By distance in words the share of words that agree, the mean over seeds, and of how many sentences (0: unknown).

    Empty if the data does not tell distances.
    """
    shares: dict[int, list[float]] = {}
    for run in setting.counted.values():
        for name in run.result["metrics"]:
            if name.startswith(PREFIX) and (share := run.metric(name)) is not None:
                shares.setdefault(int(name.removeprefix(PREFIX)), []).append(share)
    if not shares:
        return {}
    try:
        numbers: Mapping[int, int] = Counter(read_translations(next(iter(setting.counted.values()))).distances)
    except UserError:
        # The shares alone are a figure too, without intervals.
        numbers = {}
    return {distance: (fmean(values), numbers.get(distance, 0)) for distance, values in sorted(shares.items())}


def agreement_figure(group: ComparisonGroup) -> Figure | None:
    """A line for the best setting of each cell; None if the data does not tell distances."""
    curves = {label: curve for label, each in group.best_of_each_cell().items() if (curve := distance_curve(each))}
    return accuracy_by_distance(curves, "Words that agree, by distance") if curves else None
