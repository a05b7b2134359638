"""The figure of agreement for the report: the share of words that agree, by distance, for each cell."""

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from statistics import fmean

from matplotlib.figure import Figure

from rnnexp.core.errors import UserError
from rnnexp.tasks.answers import RecordedRun
from rnnexp.tasks.translation.answers import Translations
from rnnexp.tasks.translation.plots import accuracy_by_distance

PREFIX = "test/acc_distance/"
"""Metrics with this prefix are shares of words that agree, by distance."""
CAPTION = (
    "The share of words with the required agreement, by the distance to the word with which they agree: the best "
    "setting of each cell, the mean over its seeds, with the 95 % interval over sentences if there are few lines."
)
Read = Callable[[RecordedRun], Translations]


def draw_agreement(runs: Mapping[str, Sequence[RecordedRun]], read: Read) -> dict[str, tuple[Figure, str]]:
    """Plot a line for the best setting of each cell; nothing if the data has no distances. See `TaskKind`."""
    curves = {label: curve for label, seeds in runs.items() if (curve := distance_curve(seeds, read))}
    return {"agreement": (accuracy_by_distance(curves, "Words that agree, by distance"), CAPTION)} if curves else {}


def distance_curve(seeds: Sequence[RecordedRun], read: Read) -> dict[int, tuple[float, int]]:
    """Return the share of words that agree, and the number of sentences, by distance in words.

    The share is the mean over seeds. The number is 0 if it is unknown. The result is empty without distances.
    """
    shares: dict[int, list[float]] = {}
    for run in seeds:
        for name in run.result["metrics"]:
            distance = name.removeprefix(PREFIX)
            share = run.metric(name)
            if name.startswith(PREFIX) and distance.isdecimal() and share is not None and 0 <= share <= 1:
                shares.setdefault(int(distance), []).append(share)
    if not shares:
        return {}
    try:
        numbers: Mapping[int, int] = Counter(read(seeds[0]).distances)
    except UserError:
        # The figure then shows no intervals.
        numbers = {}
    return {distance: (fmean(values), numbers.get(distance, 0)) for distance, values in sorted(shares.items())}
