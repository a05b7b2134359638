"""The figure of the answer: the score of every setting with its interval, the best first, a panel per group."""

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from rnnexp.plots.style import ACCENT, GRAY, INK, style_axes, wrapped
from rnnexp.report.figures.points import PointFigure, mark_setting, seed_text
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.stats.ranking import BEST, EVEN, Comparison
from rnnexp.report.stats.significance import summarize
from rnnexp.report.tables import score_text

MOST_PANELS = 4
MOST_SHOWN = 8
"""The maximum number of settings in a panel; the table of results has all."""
LINE_INCHES = 0.15
"""The height of a line of a label."""
LETTERS = 32


def answer_figure(results: Sequence[tuple[ComparisonGroup, Sequence[Comparison]]]) -> PointFigure | None:
    """Plot the settings of the first groups that have several; None if no group has."""
    shown = [(group, comparisons[:MOST_SHOWN]) for group, comparisons in results if len(comparisons) > 1]
    shown = shown[:MOST_PANELS]
    if not shown:
        return None
    heights = [_row_inches(comparisons) * len(comparisons) + 0.75 for _, comparisons in shown]
    figure = PointFigure(7.2, sum(heights))
    panels = figure.subplots(len(shown), 1, squeeze=False, height_ratios=heights)[:, 0]
    for axes, (group, comparisons) in zip(panels, shown, strict=True):
        _plot_group(figure, axes, group, comparisons)
        if len(shown) > 1:
            axes.set_title(wrapped(group.title, 60), loc="left", fontsize=9.5, parse_math=False)
    return figure


def answer_caption(results: Sequence[tuple[ComparisonGroup, Sequence[Comparison]]]) -> str:
    """Return the caption of the figure, with the number of settings and of groups that it leaves out."""
    several = [comparisons for _, comparisons in results if len(comparisons) > 1]
    hidden = sum(max(0, len(comparisons) - MOST_SHOWN) for comparisons in several[:MOST_PANELS])
    counts = {"setting": hidden, "group": len(several) - MOST_PANELS}
    missing = [f"{number} more {what}{'s' if number > 1 else ''}" for what, number in counts.items() if number > 0]
    return (
        "The mean over seeds of each setting with its 95 % interval, the best first; small points are single seeds. "
        "Filled blue: the best; open blue: not significantly worse; gray: worse, or not tested."
        + (f" The tables below have {' and '.join(missing)}." if missing else "")
    )


def _labels(comparisons: Sequence[Comparison]) -> list[str]:
    return [wrapped(comparison.setting.label, LETTERS) for comparison in comparisons]


def _row_inches(comparisons: Sequence[Comparison]) -> float:
    """Return the height of a setting: that of the label with the most lines, and at least two."""
    return 0.06 + LINE_INCHES * max(2, *(1 + label.count("\n") for label in _labels(comparisons)))


def _plot_group(figure: PointFigure, axes: Axes, group: ComparisonGroup, comparisons: Sequence[Comparison]) -> None:
    for row, comparison in enumerate(comparisons):
        _plot_setting(figure, axes, group, row, comparison)
    axes.axvline(summarize(comparisons[0].setting.scores).mean, color=INK, linewidth=0.8, linestyle=":", zorder=1)
    labels = _labels(comparisons)
    axes.set_yticks(range(len(labels)), labels, fontsize=8.5, parse_math=False)
    axes.set_ylim(len(labels) - 0.5, -0.5)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_xlabel(wrapped(group.main.title if group.is_search else f"test {group.main.title}", 70))
    style_axes(axes, "x")
    axes.spines["left"].set_visible(False)


def _plot_setting(figure: PointFigure, axes: Axes, group: ComparisonGroup, row: int, comparison: Comparison) -> None:
    setting = comparison.setting
    summary = summarize(setting.scores)
    color = ACCENT if comparison.verdict in (BEST, EVEN) else GRAY
    if summary.half_width is not None:
        low, high = group.main.interval(summary.mean, summary.half_width)
        axes.plot([low, high], [row, row], color=color, linewidth=2, solid_capstyle="butt", zorder=2)
    face = "white" if comparison.verdict == EVEN else color
    axes.plot(summary.mean, row, "o", color=color, markerfacecolor=face, markersize=7, markeredgewidth=1.6, zorder=3)
    text = f"{score_text(setting, setting.main)}, n = {summary.n}, {comparison.verdict}"
    mark_setting(figure, axes, setting, (summary.mean, row), text)
    for seed, score in setting.by_seed(group.main).items():
        text = seed_text(setting, seed, group.main, score)
        figure.add_seed(axes, score, row + 0.24, text, setting.counted[seed], color if color == ACCENT else "#888888")
