"""The figure of a search: the value of each trial, and the best so far."""

import math
from collections import Counter, defaultdict
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rnnexp.plots.style import GRAY, legend_beside, legend_inches, line_style, new_figure, style_axes, wrapped
from rnnexp.report.records.groups import ComparisonGroup

MISSING = "without a value"
"""The entry of the legend for trials that were pruned, diverged or failed, or have not ended."""
Values = dict[int, float]
"""The scaled value of each trial by its number; NaN without one."""


def trials_of(group: ComparisonGroup) -> dict[str, Values]:
    """Return the values of the trials in ascending order, by the name of the search's directory.

    Directories of the same name are told apart by their paths.
    """
    found: defaultdict[Path, Values] = defaultdict(dict)
    for run in group.runs:
        number = (run.config or {}).get("trial_number")
        if type(number) is int and run.sweep is not None:
            value = run.metric(group.main.name)
            found[run.sweep][number] = math.nan if value is None else group.main.scale * value
    number_of = Counter(sweep.name for sweep in found)
    return {
        sweep.name if number_of[sweep.name] == 1 else str(sweep): dict(sorted(values.items()))
        for sweep, values in found.items()
    }


def search_path(group: ComparisonGroup) -> Figure | None:
    """Plot the value of each trial and the best so far, a line for each search; None without two values."""
    searches = trials_of(group)
    if sum(math.isfinite(value) for values in searches.values() for value in values.values()) < 2:
        return None
    names = [f"best so far of {name}" for name in searches]
    wide, high = legend_inches([*names, MISSING])
    figure = new_figure(6.4 + wide, max(3.4, high + 0.4))
    axes = figure.subplots()
    handles: list[Line2D] = []
    missing: list[Line2D] = []
    for place, values in enumerate(searches.values()):
        color = line_style(place)["color"]
        trials, scores = np.array(list(values)), np.array(list(values.values()))
        best = np.fmax.accumulate(scores) if group.main.higher_is_better else np.fmin.accumulate(scores)
        axes.plot(trials, scores, linestyle="none", marker=line_style(place)["marker"], color=color, alpha=0.5)
        handles += axes.plot(trials, best, drawstyle="steps-post", color=color, linewidth=1.8)
        if np.isnan(scores).any():
            missing = _mark_missing(axes, trials[np.isnan(scores)])
    axes.set_xlabel("trial")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    axes.set_ylabel(wrapped(group.main.title, 40))
    style_axes(axes)
    legend_beside(figure, [*handles, *missing], [*names, MISSING] if missing else names)
    return figure


def _mark_missing(axes: Axes, trials: np.ndarray) -> list[Line2D]:
    """Mark trials without a value at the bottom of the panel."""
    bottom = np.full(len(trials), 0.015)
    return axes.plot(trials, bottom, linestyle="none", marker="x", color=GRAY, transform=axes.get_xaxis_transform())
