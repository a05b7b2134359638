"""What a better score costs: in parameters, time and memory; and which settings nothing beats at their price."""

from collections.abc import Sequence
from dataclasses import dataclass

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from rnnexp.plots.runs import new_figure
from rnnexp.report.figures.style import GREY, MOST_NAMED, legend_beside, legend_inches, looks, tidy
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.records.measures import FIT_TIME, MEMORY, PARAMETERS, Cost
from rnnexp.report.stats.tests import summarize

COSTS = (PARAMETERS, FIT_TIME, MEMORY)
LEAST_RATIO = 4
"""Of the dearest to the cheapest, from which a scale is logarithmic."""


@dataclass(frozen=True)
class Point:
    """A setting in one panel: what it costs, and what it reaches."""

    setting: Setting
    cost: float
    score: float
    low: float
    high: float
    """of the score's 95 % interval; of a single seed both are the score"""


def points_of(group: ComparisonGroup, cost: Cost) -> list[Point]:
    """Of every setting that has both numbers, in the group's order."""
    points = []
    for setting in group.measured:
        price = setting.mean_cost(cost)
        if price is not None and price > 0:
            summary = summarize(setting.scores)
            low, high = group.main.interval(summary.mean, summary.half_width or 0.0)
            points.append(Point(setting, price, summary.mean, low, high))
    return points


def pareto_front(points: Sequence[Point], higher_is_better: bool) -> list[Point]:
    """Those for which no other is at least as good and at most as dear, and better in one of both; by rising cost."""
    sign = 1 if higher_is_better else -1
    front: list[Point] = []
    for point in sorted(points, key=lambda each: (each.cost, -sign * each.score)):
        if not front or sign * point.score > sign * front[-1].score:
            front.append(point)
    return front


def tradeoffs(group: ComparisonGroup) -> Figure | None:
    """The score against each cost, with the Pareto front; None for fewer than two settings.

    Where there are more than MOST_NAMED, those on a front are named, the others grey: the table has them all.
    """
    panels = [(cost, points) for cost in COSTS if len(points := points_of(group, cost)) > 1]
    if not panels:
        return None
    fronts = [pareto_front(points, group.main.higher_is_better) for _, points in panels]
    on_front = [each for each in group.measured if any(p.setting is each for front in fronts for p in front)]
    named = (on_front if len(group.measured) > MOST_NAMED else group.measured)[:MOST_NAMED]
    names = [each.label for each in named]
    wide, high = legend_inches([*names, "Pareto front"])
    figure = new_figure(0.6 + 3.1 * len(panels) + wide, max(3.6, high + 0.4))
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    handles = {}
    for axes, (cost, points), front in zip(grid, panels, fronts, strict=True):
        (line,) = axes.plot(
            [point.cost for point in front],
            [point.score for point in front],
            drawstyle="steps-post",
            color="#555555",
            linewidth=1,
            zorder=1,
        )
        handles["Pareto front"] = line
        for point in points:
            is_named = point.setting in named
            its = looks(named.index(point.setting)) if point.setting in named else {"color": GREY, "marker": "."}
            dots = axes.errorbar(
                point.cost,
                point.score,
                # Of the others they would hide what counts.
                yerr=[[point.score - point.low], [point.high - point.score]] if is_named else None,
                linestyle="none",
                markersize=7,
                markeredgecolor="white",
                markeredgewidth=0.5,
                elinewidth=0.8,
                zorder=3 if is_named else 2,
                **its,
            )
            handles[point.setting.label if is_named else "the others"] = dots
        _scale(axes, cost, [point.cost for point in points])
        tidy(axes)
    grid[0].set_ylabel(group.main.title)
    order = [name for name in [*names, "the others", "Pareto front"] if name in handles]
    legend_beside(figure, [handles[name] for name in order], order)
    return figure


def _scale(axes: Axes, cost: Cost, values: Sequence[float]) -> None:
    """Logarithmic where values differ by factors, with few labels in plain numbers, so that none touches another."""
    low, high = min(values), max(values)
    if high / low > LEAST_RATIO:
        axes.set_xscale("log")
        margin = (high / low) ** 0.06
        axes.set_xlim(low / margin, high * margin)
        # Within a decade its own labels are too few; across several all others would touch.
        axes.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if high / low < 30 else (1,), numticks=5))
        axes.xaxis.set_minor_formatter(NullFormatter())
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: _plain(value)))
    axes.set_xlabel(cost.label)


def _plain(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            return f"{value / (1e3 if letter == 'k' else size):g}{letter}"
    return f"{value:g}"
