"""What each axis of a sweep does to the score, and whether two axes depend on each other."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from statistics import fmean

from matplotlib.axes import Axes as Panel
from matplotlib.figure import Figure

from rnnexp.plots.runs import ACCENT, new_figure
from rnnexp.plots.translation import drawable
from rnnexp.report.figures.style import GREY, looks, tidy, wrapped
from rnnexp.report.records.axes import Axis
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.stats.tests import summarize

COLUMNS = 3
MOST_PANELS = 12
Point = tuple[str, ...]
"""One value of each axis in question."""


@dataclass(frozen=True)
class Margins:
    """Scores at every point of one axis, or two, with all other axes equal.

    `settings` holds one mapping from point to setting for every combination of the other axes in which each
    point was measured: only these compare like with like.
    """

    points: Sequence[Point]
    settings: Sequence[dict[Point, Setting]]

    def means(self, point: Point) -> list[float]:
        """The mean over the settings, for each seed that all of them have at all points; as it is shown."""
        seeds = set.intersection(*(set(each.counted) for setting in self.settings for each in setting.values()))
        scores = [setting[point].by_seed(setting[point].main) for setting in self.settings]
        if not seeds:
            # Other seeds at other points: the means compare all the same, their spread does not.
            return [fmean(fmean(by_seed.values()) for by_seed in scores)]
        return [fmean(by_seed[seed] for by_seed in scores) for seed in sorted(seeds)]


def margins(group: ComparisonGroup, axes: Sequence[Axis]) -> Margins | None:
    """None unless every axis has two values, and some setting of the other axes has all points that were measured."""
    names = [axis.name for axis in axes]
    settings: defaultdict[Point, dict[Point, Setting]] = defaultdict(dict)
    for setting in group.measured:
        point = tuple(setting.axis_values[name] for name in names)
        rest = tuple(value for name, value in setting.axis_values.items() if name not in names)
        settings[rest][point] = setting
    points = sorted({point for setting in settings.values() for point in setting}, key=_natural)
    complete = [setting for setting in settings.values() if len(setting) == len(points)]
    if not complete or any(len({point[place] for point in points}) < 2 for place in range(len(axes))):
        return None
    return Margins(points, complete)


def _natural(point: Point) -> list[tuple[bool, float, str]]:
    """Numbers as numbers are ordered, and before words."""
    return [(False, float(value), "") if _is_number(value) else (True, 0.0, value) for value in point]


def _is_number(value: str) -> bool:
    try:
        float(value)
    except ValueError:
        return False
    return True


def main_effects(group: ComparisonGroup) -> Figure | None:
    """For every axis the mean at each of its values, with its interval over seeds; thin lines are the settings of the
    other axes one by one. None if no axis has two values to compare.
    """
    found = [(axis, its) for axis in group.axes if (its := margins(group, [axis]))][:MOST_PANELS]
    if not found:
        return None
    figure, panels = _grid([max(len(its.points), 2) for _, its in found])
    for panel, (axis, its) in zip(panels, found, strict=False):
        places = range(len(its.points))
        for setting in its.settings if len(its.settings) > 1 else ():
            panel.plot(places, [fmean(setting[point].scores) for point in its.points], color=GREY, linewidth=0.8)
        summaries = [summarize(its.means(point)) for point in its.points]
        panel.errorbar(
            places,
            [summary.mean for summary in summaries],
            yerr=[summary.half_width or 0.0 for summary in summaries],
            color=ACCENT,
            marker="o",
            linewidth=1.8,
            elinewidth=1,
            capsize=3,
            zorder=3,
        )
        _name_values(panel, axis.name, [point[0] for point in its.points])
    _name_scores(group, panels)
    return figure


def interactions(group: ComparisonGroup) -> Figure | None:
    """For every two axes the mean at each pair of values: parallel lines say that neither depends on the other.

    None if there are no two axes to cross.
    """
    found = [(pair, its) for pair in combinations(group.axes, 2) if (its := margins(group, pair))]
    found = [(pair, its) for pair, its in found if _is_crossed(its)][:MOST_PANELS]
    if not found:
        return None
    figure, panels = _grid([_number_of_values(its, 0) for _, its in found], extra_height=0.55)
    for panel, ((across, lines), its) in zip(panels, found, strict=False):
        values = list(dict.fromkeys(point[0] for point in its.points))
        for number, line in enumerate(sorted({point[1] for point in its.points}, key=lambda value: _natural((value,)))):
            there = [(values.index(point[0]), point) for point in its.points if point[1] == line]
            panel.plot(
                [place for place, _ in there],
                [fmean(its.means(point)) for _, point in there],
                label=drawable(line)[:16],
                linewidth=1.5,
                markersize=6,
                markeredgecolor="white",
                markeredgewidth=0.4,
                **looks(number),
            )
        _name_values(panel, across.name, values)
        legend = panel.legend(
            title=wrapped(lines.name, 20),
            loc="lower center",
            bbox_to_anchor=(0.5, 1.0),
            ncols=min(4, len({point[1] for point in its.points})),
            frameon=False,
            fontsize=8,
            title_fontsize=8,
            columnspacing=1.0,
            handlelength=1.4,
        )
        for text in legend.get_texts():
            text.set_parse_math(False)
    _name_scores(group, panels)
    return figure


def _is_crossed(its: Margins) -> bool:
    """Whether two values of one axis were both measured at two values of the other: fewer say nothing of both."""
    lines: defaultdict[str, set[str]] = defaultdict(set)
    for across, line in its.points:
        lines[line].add(across)
    return any(len(a & b) > 1 for a, b in combinations(lines.values(), 2))


def _number_of_values(its: Margins, place: int) -> int:
    return len({point[place] for point in its.points})


def _grid(num_values: Sequence[int], extra_height: float = 0.0) -> tuple[Figure, list[Panel]]:
    columns = min(COLUMNS, len(num_values))
    rows = -(-len(num_values) // columns)
    width = max(2.6, 0.55 * max(num_values) + 0.8)
    figure = new_figure(0.5 + width * columns, (2.7 + extra_height) * rows)
    panels = list(figure.subplots(rows, columns, sharey=True, squeeze=False).flat)
    for panel in panels:
        tidy(panel)
    for unused in panels[len(num_values) :]:
        unused.remove()
    return figure, panels[: len(num_values)]


def _name_values(panel: Panel, name: str, values: Sequence[str]) -> None:
    shown = [drawable(value)[:16] for value in values]
    # Upright names never touch their neighbours.
    upright = max(map(len, shown)) > 6
    panel.set_xticks(range(len(shown)), shown, rotation=90 if upright else 0, fontsize=8.5, parse_math=False)
    panel.set_xlim(-0.4, len(shown) - 0.6)
    panel.set_xlabel(wrapped(name, 28), parse_math=False)


def _name_scores(group: ComparisonGroup, panels: Sequence[Panel]) -> None:
    for panel in panels[::COLUMNS]:
        panel.set_ylabel(group.main.title)
