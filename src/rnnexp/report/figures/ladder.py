"""The figure of a ladder: the score of each setting over the length, and the gradient that reaches the first step."""

from collections.abc import Mapping, Sequence
from statistics import fmean

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.ticker import NullLocator

from rnnexp.plots.style import INK, legend_beside, legend_inches, line_style, style_axes
from rnnexp.report.figures.gradient_flow import SMALLEST, relative_norms
from rnnexp.report.figures.points import PointFigure, seed_text
from rnnexp.report.records.ladders import Ladder, Rung

Ratios = dict[str, dict[int, float]]
"""Moment of training -> length -> ||dL/dh_1|| / ||dL/dh_T||."""


def ratios_of(line: Sequence[Rung]) -> Ratios:
    """Return the norm of the gradient at the first step relative to the last one; empty without recorded gradients."""
    ratios: Ratios = {}
    for rung in line:
        for moment, norms in relative_norms(rung.setting).items():
            ratios.setdefault(moment, {})[rung.length] = max(float(norms[0]), SMALLEST)
    return ratios


def ladder_figure(ladder: Ladder) -> PointFigure:
    """Plot the measure over the length, a line per setting and a point per seed, filled if the seed solved the task."""
    ratios = {label: ratios_of(ladder.lines[label]) for label in ladder.ranking}
    moments = list(dict.fromkeys(moment for of_label in ratios.values() for moment in of_label))
    wide, high = legend_inches(ladder.ranking)
    figure = PointFigure(1.0 + 3.7 * (1 + len(moments)) + wide, max(3.6, high + 0.4))
    scores, *gradients = figure.subplots(1, 1 + len(moments), squeeze=False)[0]
    handles = _plot_scores(figure, scores, ladder)
    for place, (panel, moment) in enumerate(zip(gradients, moments, strict=True)):
        by_label = {label: of_label[moment] for label, of_label in ratios.items() if moment in of_label}
        _plot_ratios(panel, by_label, ladder.ranking)
        panel.set_title(moment, fontsize=9, loc="left")
        if place == 0:
            panel.set_ylabel("||dL/dh at step 1|| / ||dL/dh at the last step||")
    for panel in (scores, *gradients):
        panel.set_xscale("log")
        lengths = list(ladder.thresholds)
        panel.set_xticks(lengths, labels=[str(length) for length in lengths])
        panel.xaxis.set_minor_locator(NullLocator())
        panel.set_xlabel("T")
        style_axes(panel)
    legend_beside(figure, [*handles.values()], list(handles))
    return figure


def _plot_scores(figure: PointFigure, axes: Axes, ladder: Ladder) -> dict[str, Line2D]:
    handles = {}
    is_logarithmic = not ladder.measure.higher_is_better
    middle = _geometric_mean if is_logarithmic else fmean
    for place, label in enumerate(ladder.ranking):
        style, line = line_style(place), ladder.lines[label]
        lengths = [rung.length for rung in line]
        (handles[label],) = axes.plot(lengths, [middle(rung.values) for rung in line], linewidth=1.6, **style)
        handles[label].set_markevery([])
        sign = 1 if ladder.measure.higher_is_better else -1
        for rung in line:
            for value in rung.values:
                is_solved = sign * value >= sign * rung.threshold
                fill = style["color"] if is_solved else "white"
                axes.plot(rung.length, value, linestyle="none", markersize=6, markerfacecolor=fill, **style)
        _mark_seeds(figure, axes, line)
    thresholds = ladder.thresholds
    axes.plot(list(thresholds), list(thresholds.values()), color=INK, linestyle="--", linewidth=1.0)
    if is_logarithmic:
        axes.set_yscale("log")
    axes.set_title("filled: solved; dashed: the threshold", fontsize=9, loc="left")
    axes.set_ylabel(f"test {ladder.measure.title}")
    return handles


def _mark_seeds(figure: PointFigure, axes: Axes, line: Sequence[Rung]) -> None:
    for rung in line:
        for seed, value in rung.setting.by_seed(rung.measure).items():
            text = f"T = {rung.length}, {seed_text(rung.setting, seed, rung.measure, value)}"
            figure.mark(axes, rung.length, value, text, [rung.setting.counted[seed]])


def _plot_ratios(axes: Axes, by_label: Mapping[str, Mapping[int, float]], ranking: Sequence[str]) -> None:
    for label, ratios in by_label.items():
        axes.plot(list(ratios), list(ratios.values()), linewidth=1.6, markersize=5, **line_style(ranking.index(label)))
    axes.set_yscale("log")


def _geometric_mean(values: Sequence[float]) -> float:
    return float(np.exp(np.log(np.maximum(values, SMALLEST)).mean()))
