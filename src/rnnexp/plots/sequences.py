"""Figures of single sequences, and of predicted numbers."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from rnnexp.plots.style import (
    ACCENT,
    COLORS,
    GRAY,
    INK,
    LIGHT,
    SECOND,
    legend_beside,
    legend_inches,
    new_figure,
    style_axes,
    title_in,
)

MOST_POINTS = 5000
"""The maximum number of points of a scatter plot; more would hide each other."""
MOST_TARGETS = 4
"""The maximum number of predicted numbers that are drawn."""
MOST_FEATURES = 6
"""The maximum number of features of a sequence that are drawn."""
Numbers = NDArray[np.float64]


class Example(NamedTuple):
    """A sequence to draw.

    Args:
        caption: what was predicted, and what is true.
        inputs: [time, features].
        wrong: the steps whose answer is wrong, bool [time]; None if the answer is one for the sequence.
        targets, predicted: a number at each step, [time]; None if there is none.
    """

    caption: str
    inputs: NDArray[np.float32]
    wrong: NDArray[np.bool_] | None = None
    targets: Numbers | None = None
    predicted: Numbers | None = None


def curves(examples: Sequence[Example], title: str, feature_names: Sequence[str] | None = None) -> Figure:
    """Plot the features of each example over its steps, in panels of their own.

    Args:
        examples: at least one; either all have numbers at each step or none.
        title: the title of the figure.
        feature_names: the names of the features to draw, the first ones; None for all, named by their numbers from 0.
    """
    if feature_names is not None:
        examples = [each._replace(inputs=each.inputs[:, : len(feature_names)]) for each in examples]
    columns = 2 if len(examples) > 1 else 1
    rows = -(-len(examples) // columns)
    names = _names_of_lines(examples[0], feature_names)
    legend_width, legend_height = legend_inches(list(names.values())) if len(names) > 1 else (0.0, 0.0)
    figure = new_figure(5.2 * columns + legend_width, max(0.5 + 2.1 * rows, legend_height))
    panels = list(figure.subplots(rows, columns, squeeze=False).flat)
    lines = [_plot_example(axes, example) for axes, example in zip(panels, examples, strict=False)]
    for axes in panels[len(examples) :]:
        axes.axis("off")
    if len(names) > 1:
        legend_beside(figure, [lines[0][line] for line in names], list(names.values()))
    figure.suptitle(title_in(title, 5.2 * columns), fontsize=10, color=INK)
    return figure


def _names_of_lines(example: Example, feature_names: Sequence[str] | None) -> dict[int, str]:
    """Return the names in the legend by the number of the line, as `_plot_example` draws them."""
    number = min(example.inputs.shape[1], MOST_FEATURES)
    if example.targets is not None:
        return {0: "features", number: "truth", number + 1: "predicted"}
    return {line: f"feature {line}" if feature_names is None else feature_names[line] for line in range(number)}


def _plot_example(axes: Axes, example: Example) -> list[Line2D]:
    """Plot an example and return its lines: the features, and the truth and the prediction at each step, if any."""
    steps = np.arange(1, len(example.inputs) + 1)
    lines = []
    for feature in range(min(example.inputs.shape[1], MOST_FEATURES)):
        shade = GRAY if example.targets is not None else COLORS[feature]
        lines += axes.plot(steps, example.inputs[:, feature], color=shade, linewidth=1.0)
    if example.targets is not None and example.predicted is not None:
        lines += _plot_numbers(axes, steps, example.targets, example.predicted)
    if example.wrong is not None:
        for step in steps[example.wrong]:
            axes.axvspan(step - 0.5, step + 0.5, color=SECOND, alpha=0.18, linewidth=0)
    axes.set_title(title_in(example.caption, 5.0, 8), fontsize=8)
    axes.set_xlabel("step")
    axes.xaxis.set_major_locator(MaxNLocator(integer=True))
    style_axes(axes)
    return lines


def _plot_numbers(axes: Axes, steps: NDArray[np.int_], targets: Numbers, predicted: Numbers) -> list[Line2D]:
    """Plot the numbers of each step over the features, which have another scale: its ticks are on the right."""
    numbers = axes.twinx()
    lines = [*numbers.plot(steps, targets, color=INK, linewidth=1.3)]
    lines += numbers.plot(steps, predicted, color=SECOND, linewidth=1.3)
    numbers.yaxis.tick_left()
    axes.yaxis.tick_right()
    axes.tick_params(axis="y", colors=GRAY)
    numbers.spines["top"].set_visible(False)
    return lines


def predictions_and_residuals(targets: Numbers, predicted: Numbers, names: Sequence[str], title: str) -> Figure:
    """Plot predictions against the truth, and the distribution of their differences, a row for each number.

    Args:
        targets, predicted: [samples, targets], in the units of the data.
        names: the name of each target; the first ones are drawn.
        title: the title of the figure.
    """
    number = min(len(names), MOST_TARGETS)
    figure = new_figure(8.6, 0.6 + 3.4 * number)
    panels = figure.subplots(number, 2, squeeze=False)
    shown = np.linspace(0, len(targets) - 1, min(len(targets), MOST_POINTS)).astype(int)
    for (scatter, histogram), truth, guess, name in zip(panels, targets.T, predicted.T, names, strict=False):
        scatter.plot(truth[shown], guess[shown], ".", color=ACCENT, markersize=3, alpha=0.5)
        ends = [min(truth.min(), guess.min()), max(truth.max(), guess.max())]
        scatter.plot(ends, ends, color=INK, linewidth=1.0)
        scatter.set_xlabel(title_in(f"{name}, truth", 3.6))
        scatter.set_ylabel(title_in(f"{name}, predicted", 3.0))
        residuals = guess - truth
        # Equal residuals would have bins without a width.
        margin = 1e-6 * max(abs(guess).max(), abs(truth).max(), 1.0)
        bins = np.linspace(residuals.min() - margin, residuals.max() + margin, min(60, max(5, len(residuals) // 5)))
        histogram.hist(residuals, bins=bins, color=LIGHT, edgecolor="white", linewidth=0.3)
        histogram.axvline(0, color=INK, linewidth=1.0)
        histogram.set_xlabel("residual: predicted - truth")
        histogram.set_ylabel("number")
        histogram.set_title(f"mean {residuals.mean():.3g}, standard deviation {residuals.std():.3g}", fontsize=9)
        for axes in (scatter, histogram):
            style_axes(axes)
    figure.suptitle(title_in(title, 8.6), fontsize=10, color=INK)
    return figure
