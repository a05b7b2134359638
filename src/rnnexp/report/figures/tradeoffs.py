"""The figure of trade-offs: the score of each setting against its costs, with the Pareto front."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from matplotlib.axes import Axes
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullFormatter

from rnnexp.plots.style import GRAY, legend_beside, legend_inches, line_style, style_axes, wrapped
from rnnexp.report.figures.points import PointFigure, mark_setting, seed_text
from rnnexp.report.records.costs import FIT_TIME, INFERENCE, MEMORY, PARAMETERS, Cost
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.stats.significance import summarize
from rnnexp.report.tables import score_text

COSTS = (PARAMETERS, FIT_TIME, MEMORY)
INFERENCE_COSTS = tuple(
    INFERENCE[name] for name in ("latency_p99_ms", "step_latency_p99_ms", "beam5_latency_p99_ms", "weight_mb")
)
MOST_NAMED = 10
"""The maximum number of settings with their own color."""
LEAST_RATIO = 4
"""The ratio of the largest to the smallest cost above which the scale is logarithmic."""


@dataclass(frozen=True)
class CostPoint:
    """A setting in one panel.

    Args:
        setting: the setting.
        cost: its mean cost.
        score: its mean score.
        low: the lower end of the score's 95 % interval; the score itself for a single seed.
        high: the upper end.
    """

    setting: Setting
    cost: float
    score: float
    low: float
    high: float


def points_of(group: ComparisonGroup, cost: Cost) -> list[CostPoint]:
    """Return a point for each setting that has a score and the cost, in the group's order."""
    points = []
    for setting in group.measured:
        mean = setting.mean_cost(cost)
        if mean is not None and mean > 0:
            summary = summarize(setting.scores)
            low, high = group.main.interval(summary.mean, summary.half_width or 0.0)
            points.append(CostPoint(setting, mean, summary.mean, low, high))
    return points


def pareto_front(points: Sequence[CostPoint], higher_is_better: bool) -> list[CostPoint]:
    """Return the points that no other point beats in score at the same or a lower cost, by increasing cost."""
    sign = 1 if higher_is_better else -1
    front: list[CostPoint] = []
    for point in sorted(points, key=lambda point: (point.cost, -sign * point.score)):
        if not front or sign * point.score > sign * front[-1].score:
            front.append(point)
    return front


def tradeoffs(group: ComparisonGroup, costs: Sequence[Cost] = COSTS) -> PointFigure | None:
    """Plot the score against each cost, with the Pareto front; None if no two settings have one.

    If there are more than MOST_NAMED settings, those on a front are named, and the others are gray.
    """
    panels = [(cost, points) for cost in costs if len(points := points_of(group, cost)) > 1]
    if not panels:
        return None
    fronts = [pareto_front(points, group.main.higher_is_better) for _, points in panels]
    on_front = [setting for setting in group.measured if any(p.setting is setting for front in fronts for p in front)]
    named = (on_front if len(group.measured) > MOST_NAMED else group.measured)[:MOST_NAMED]
    names = [setting.label for setting in named]
    wide, high = legend_inches([*names, "Pareto front"])
    figure = PointFigure(0.6 + 3.1 * len(panels) + wide, max(3.6, high + 0.4))
    grid = figure.subplots(1, len(panels), sharey=True, squeeze=False)[0]
    handles: dict[str, Any] = {}
    for axes, (cost, points), front in zip(grid, panels, fronts, strict=True):
        handles["Pareto front"] = _plot_front(axes, front)
        shown = [point.cost for point in points]
        for point in points:
            is_named = point.setting in named
            handles[point.setting.label if is_named else "the others"] = _plot_point(
                axes, point, named.index(point.setting) if is_named else None
            )
            text = f"{score_text(point.setting, group.main)}, {cost.label} {cost.show(point.cost)}"
            mark_setting(figure, axes, point.setting, (point.cost, point.score), text)
            if is_named:
                shown += _add_seeds(figure, axes, point.setting, cost)
        _scale(axes, cost, shown)
        style_axes(axes)
    grid[0].set_ylabel(wrapped(group.main.title, 40))
    order = [name for name in [*names, "the others", "Pareto front"] if name in handles]
    legend_beside(figure, [handles[name] for name in order], order)
    return figure


def _plot_front(axes: Axes, front: Sequence[CostPoint]) -> Line2D:
    costs, scores = [point.cost for point in front], [point.score for point in front]
    (line,) = axes.plot(costs, scores, drawstyle="steps-post", color="#555555", linewidth=1, zorder=1)
    return line


def _plot_point(axes: Axes, point: CostPoint, place: int | None) -> ErrorbarContainer:
    """Plot one point: with an interval and the color of its place if it has one, or else in gray."""
    style = {"color": GRAY, "marker": "."} if place is None else line_style(place)
    return axes.errorbar(
        point.cost,
        point.score,
        # The intervals of unnamed settings would hide the named ones.
        yerr=None if place is None else [[point.score - point.low], [point.high - point.score]],
        linestyle="none",
        markersize=7,
        markeredgecolor="white",
        markeredgewidth=0.5,
        elinewidth=0.8,
        zorder=2 if place is None else 3,
        **style,
    )


def _add_seeds(figure: PointFigure, axes: Axes, setting: Setting, cost: Cost) -> list[float]:
    """Add a small point for each seed that has the cost, and return these costs."""
    values = []
    for seed, score in setting.by_seed(setting.main).items():
        value = cost.of(setting.counted[seed])
        if value is not None and value > 0:
            text = f"{seed_text(setting, seed, setting.main, score)}, {cost.label} {cost.show(value)}"
            figure.add_seed(axes, value, score, text, setting.counted[seed], "#888888")
            values.append(value)
    return values


def _scale(axes: Axes, cost: Cost, values: Sequence[float]) -> None:
    """Make the scale logarithmic if the costs differ by more than `LEAST_RATIO`, with few labels in plain numbers."""
    low, high = min(values), max(values)
    if high / low > LEAST_RATIO:
        axes.set_xscale("log")
        margin = (high / low) ** 0.06
        axes.set_xlim(low / margin, high * margin)
        # One label per decade is too few within one or two decades; more would overlap across several.
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
