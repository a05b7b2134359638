"""The figure of learning curves: the validation metric by epoch, over the seeds of each setting."""

from collections import defaultdict
from collections.abc import Sequence
from statistics import fmean, stdev

from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from rnnexp.plots.style import GRAY, legend_beside, legend_inches, line_style, new_figure, style_axes, wrapped
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.tasks.inference_record import is_number
from rnnexp.tasks.registry import Measure
from rnnexp.tracking.metrics_file import Logged, read_logged

MOST_NAMED = 6
"""The maximum number of bands; more would hide each other."""
MOST_EPOCHS = 10_000_000
"""Larger numbers are those of a damaged file, and the figure could not show the others."""
Curve = dict[int, list[float]]


def epoch_values(logged: Sequence[Logged]) -> dict[int, float]:
    """Return the last value in each epoch, counted from 1; epochs where it cannot be drawn are left out."""
    last = {each.epoch: each.value for each in logged}
    return {epoch: value for epoch, value in last.items() if is_number(value) and 0 < epoch < MOST_EPOCHS}


def curve_of(setting: Setting, measure: Measure) -> Curve:
    """Return the scaled validation metric of each seed by epoch: that of the run that counts, or of unfinished ones."""
    curve: defaultdict[int, list[float]] = defaultdict(list)
    runs = [run for run in setting.runs if setting.counted.get(run.seed, run) is run]
    for run in runs:
        logged, is_damaged = read_logged(run.files.metrics_file, measure.validation)
        if is_damaged:
            run.add_damage(f"{run.files.metrics_file} cannot be read completely: damaged lines are left out")
        for epoch, value in epoch_values(logged).items():
            curve[epoch].append(measure.scale * value)
    return dict(sorted(curve.items()))


def learning_curves(group: ComparisonGroup) -> Figure | None:
    """Plot the mean over seeds, with a band of one standard deviation on both sides; None if nothing was logged.

    The best settings are named, of those with a result if any has one; the others are gray.
    """
    curves = [(setting, curve) for setting in group.settings if (curve := curve_of(setting, group.kind.main))]
    if not curves:
        return None
    # Settings without a result are last.
    num_named = min(MOST_NAMED, sum(bool(setting.counted) for setting, _ in curves) or len(curves))
    names = [setting.label for setting, _ in curves[:num_named]] + ["the others"] * (len(curves) > num_named)
    wide, high = legend_inches(names)
    figure = new_figure(6.4 + wide, max(3.8, high + 0.4))
    axes = figure.subplots()
    handles: list[Line2D] = []
    # The best setting is plotted last, above the others.
    for place, (_, curve) in reversed(list(enumerate(curves))):
        is_named = place < num_named
        color = line_style(place)["color"] if is_named else GRAY
        means = [fmean(values) for values in curve.values()]
        few = len(curve) < 25
        (line,) = axes.plot(
            list(curve),
            means,
            color=color,
            marker=line_style(place)["marker"] if is_named and few else None,
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.4,
            linewidth=1.6 if is_named else 0.9,
        )
        if place <= num_named:
            handles.insert(0, line)
        spread = [stdev(values) if len(values) > 1 else 0.0 for values in curve.values()]
        if is_named and any(spread):
            low, high_ = ([m + sign * s for m, s in zip(means, spread, strict=True)] for sign in (-1, 1))
            axes.fill_between(list(curve), low, high_, color=color, alpha=0.13, linewidth=0)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("epoch")
    axes.set_ylabel(wrapped(f"validation {group.kind.main.title}", 40))
    style_axes(axes)
    legend_beside(figure, handles, names)
    return figure
