"""The critical-difference figure: mean ranks over data sets, with bars that join settings which do not differ."""

from matplotlib.figure import Figure

from rnnexp.plots.style import ACCENT, INK, drawable, new_figure
from rnnexp.report.stats.across import AcrossRanking

MOST_LETTERS = 40
"""Longer labels are truncated."""


def critical_difference(ranking: AcrossRanking) -> Figure:
    """Plot the mean rank of each setting on a line, the best on the left (Demsar, 2006, figure 1).

    A bar joins a run of settings of which no two differ significantly by Wilcoxon's tests.
    """
    number = len(ranking.labels)
    half = (number + 1) // 2
    bars = ranking.cliques
    # Rows below the line: the bars first, then the labels.
    above = 0.6 + 0.35 * len(bars)
    figure = new_figure(9.0, 0.9 + 0.3 * (above + half))
    axes = figure.subplots()
    axes.set_axis_off()
    axes.set_ylim(-above - half, 1.2)
    left, right = 1.0, float(number)
    margin = 0.55 * (right - left)
    axes.set_xlim(left - margin, right + margin)
    axes.plot([left, right], [0, 0], color=INK, linewidth=1)
    for whole in range(1, number + 1):
        axes.plot([whole, whole], [0, 0.2], color=INK, linewidth=1)
        axes.text(whole, 0.35, str(whole), ha="center", va="bottom", fontsize=9)
    for place, (first, last) in enumerate(bars):
        height = -0.4 - 0.35 * place
        axes.plot(
            [ranking.ranks[first] - 0.03, ranking.ranks[last] + 0.03],
            [height, height],
            color=ACCENT,
            linewidth=3.5,
            solid_capstyle="butt",
        )
    for place, (label, rank) in enumerate(zip(ranking.labels, ranking.ranks, strict=True)):
        is_left = place < half
        height = -above - (place if is_left else number - 1 - place) - 0.3
        end = left - 0.04 * margin if is_left else right + 0.04 * margin
        axes.plot([rank, rank, end], [0, height, height], color=INK, linewidth=0.8)
        axes.text(
            end + (-0.02 if is_left else 0.02) * margin,
            height,
            f"{drawable(label)[:MOST_LETTERS]}  {rank:.2f}",
            ha="right" if is_left else "left",
            va="center",
            fontsize=9,
        )
    return figure
