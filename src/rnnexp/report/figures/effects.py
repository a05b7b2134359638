"""The figures of effects: the main effect of each axis of a sweep on the score, and the interactions of two axes."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from matplotlib.axes import Axes as Panel
from matplotlib.figure import Figure

from rnnexp.plots.style import ACCENT, GRAY, drawable, line_style, new_figure, style_axes, wrapped
from rnnexp.report.records.axes import Axis, number_order
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.stats.significance import summarize

COLUMNS = 3
MOST_PANELS = 12
MOST_LETTERS = 16
"""Longer values are truncated."""
SPREAD = 0.3
"""The width over which the series of an interaction are spread at a category; the distance of categories is 1."""
AxisValues = tuple[str, ...]
"""One value of each plotted axis."""


@dataclass(frozen=True)
class Margins:
    """Scores at every point of one axis, or of two, with all other axes equal.

    Args:
        points: the measured values of the axes, in natural order.
        settings: for every combination of the other axes in which all points were measured, the setting at each point.
            Other combinations are left out, since the points would not be comparable with them.
    """

    points: Sequence[AxisValues]
    settings: Sequence[dict[AxisValues, Setting]]

    def means(self, point: AxisValues) -> list[float]:
        """Return the scaled mean over the settings, for each seed that all of them have at all points."""
        seeds = set.intersection(
            *(set(setting.counted) for at_points in self.settings for setting in at_points.values())
        )
        scores = [setting[point].by_seed(setting[point].main) for setting in self.settings]
        if not seeds:
            # Without a common seed only the means can be compared, not their spread over seeds.
            return [fmean(fmean(by_seed.values()) for by_seed in scores)]
        return [fmean(by_seed[seed] for by_seed in scores) for seed in sorted(seeds)]


def margins(group: ComparisonGroup, axes: Sequence[Axis]) -> Margins | None:
    """Return the margins of some axes.

    They are None if an axis has a single value, or no combination of the other axes has all points.
    """
    names = [axis.name for axis in axes]
    settings: defaultdict[AxisValues, dict[AxisValues, Setting]] = defaultdict(dict)
    for setting in group.measured:
        point = tuple(setting.axis_values[name] for name in names)
        rest = tuple(value for name, value in setting.axis_values.items() if name not in names)
        settings[rest][point] = setting
    points = sorted({point for setting in settings.values() for point in setting}, key=_natural_order)
    complete = [setting for setting in settings.values() if len(setting) == len(points)]
    if not complete or any(len({point[place] for point in points}) < 2 for place in range(len(axes))):
        return None
    return Margins(points, complete)


def _natural_order(point: AxisValues) -> list[tuple[bool, float, str]]:
    return [number_order(value) for value in point]


def _is_number(value: str) -> bool:
    is_word, _, _ = number_order(value)
    return not is_word


def main_effects(group: ComparisonGroup) -> Figure | None:
    """Plot for every axis the mean at each of its values, with its interval over seeds.

    Individual settings of the other axes are gray. Numeric values are connected by lines, categories are not. The
    figure is None if no axis has two values to compare.
    """
    found = [(axis, effect) for axis in group.axes if (effect := margins(group, [axis]))][:MOST_PANELS]
    if not found:
        return None
    figure, panels = _grid([max(len(effect.points), 2) for _, effect in found])
    for panel, (axis, effect) in zip(panels, found, strict=False):
        values = [point[0] for point in effect.points]
        _plot_main_effect(panel, effect, joined=all(map(_is_number, values)))
        _name_values(panel, axis.name, values)
    _name_scores(group, panels)
    return figure


def _plot_main_effect(panel: Panel, effect: Margins, joined: bool) -> None:
    places = range(len(effect.points))
    gray = {"linewidth": 0.8} if joined else {"linestyle": "none", "marker": ".", "markersize": 5}
    for setting in effect.settings if len(effect.settings) > 1 else ():
        panel.plot(places, [fmean(setting[point].scores) for point in effect.points], color=GRAY, **gray)
    summaries = [summarize(effect.means(point)) for point in effect.points]
    panel.errorbar(
        places,
        [summary.mean for summary in summaries],
        yerr=[summary.half_width or 0.0 for summary in summaries],
        color=ACCENT,
        marker="o",
        linestyle="-" if joined else "none",
        linewidth=1.8,
        elinewidth=1,
        capsize=3,
        zorder=3,
    )


def interactions(group: ComparisonGroup) -> Figure | None:
    """Plot for every two axes the mean at each pair of values, one series per value of one of them.

    The x axis is numeric if one of both axes is. Numeric values are connected by lines, categories are not. The figure
    is None if no two axes are crossed.
    """
    found = [
        (pair, crossed)
        for first, second in combinations(group.axes, 2)
        if (pair := _numbers_first(group, first, second)) and (crossed := margins(group, pair)) and _is_crossed(crossed)
    ][:MOST_PANELS]
    if not found:
        return None
    figure, panels = _grid([_number_of_values(crossed, 0) for _, crossed in found], extra_height=0.55)
    for panel, ((across, series), crossed) in zip(panels, found, strict=False):
        _plot_interaction(panel, across, series, crossed)
    _name_scores(group, panels)
    return figure


def _numbers_first(group: ComparisonGroup, first: Axis, second: Axis) -> tuple[Axis, Axis]:
    are_numbers = [
        all(_is_number(setting.axis_values[axis.name]) for setting in group.measured) for axis in (first, second)
    ]
    return (second, first) if are_numbers == [False, True] else (first, second)


def _plot_interaction(panel: Panel, across: Axis, series: Axis, crossed: Margins) -> None:
    values = list(dict.fromkeys(point[0] for point in crossed.points))
    names = sorted({point[1] for point in crossed.points}, key=number_order)
    joined = all(map(_is_number, values))
    for number, name in enumerate(names):
        points = [point for point in crossed.points if point[1] == name]
        shift = 0.0 if joined or len(names) == 1 else SPREAD * (number / (len(names) - 1) - 0.5)
        panel.plot(
            [values.index(point[0]) + shift for point in points],
            [fmean(crossed.means(point)) for point in points],
            # matplotlib leaves out labels that begin with an underscore.
            label=re.sub("^_", " _", drawable(name)[:MOST_LETTERS]),
            linestyle="-" if joined else "none",
            linewidth=1.5,
            markersize=6,
            markeredgecolor="white",
            markeredgewidth=0.4,
            **line_style(number),
        )
    _name_values(panel, across.name, values)
    legend = panel.legend(
        title=wrapped(series.name, 20),
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        ncols=min(4, len(names)),
        frameon=False,
        fontsize=8,
        title_fontsize=8,
        columnspacing=1.0,
        handlelength=1.4,
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def _is_crossed(crossed: Margins) -> bool:
    """Return whether two values of one axis were both measured at two values of the other."""
    lines: defaultdict[str, set[str]] = defaultdict(set)
    for across, series in crossed.points:
        lines[series].add(across)
    return any(len(a & b) > 1 for a, b in combinations(lines.values(), 2))


def _number_of_values(crossed: Margins, place: int) -> int:
    return len({point[place] for point in crossed.points})


def _grid(num_values: Sequence[int], extra_height: float = 0.0) -> tuple[Figure, list[Panel]]:
    columns = min(COLUMNS, len(num_values))
    rows = -(-len(num_values) // columns)
    width = max(2.6, 0.55 * max(num_values) + 0.8)
    figure = new_figure(0.5 + width * columns, (2.7 + extra_height) * rows)
    panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for panel in panels:
        style_axes(panel)
    for unused in panels[len(num_values) :]:
        unused.remove()
    return figure, panels[: len(num_values)]


def _name_values(panel: Panel, name: str, values: Sequence[str]) -> None:
    shown = [drawable(value)[:MOST_LETTERS] for value in values]
    # Long names are vertical, since they would overlap otherwise.
    is_vertical = max(map(len, shown)) > 6
    panel.set_xticks(range(len(shown)), shown, rotation=90 if is_vertical else 0, fontsize=8.5, parse_math=False)
    panel.set_xlim(-0.4, len(shown) - 0.6)
    panel.set_xlabel(wrapped(name, 28), parse_math=False)


def _name_scores(group: ComparisonGroup, panels: Sequence[Panel]) -> None:
    for panel in panels[::COLUMNS]:
        panel.set_ylabel(wrapped(group.main.title, 40))
