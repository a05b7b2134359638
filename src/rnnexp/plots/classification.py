"""Figures of a run of classification."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnnexp.plots.style import INK, SECOND, new_figure, title_in

MOST_NUMBERED = 32
"""The maximum number of classes of which a confusion matrix shows counts."""
MOST_INCHES = 16.4


def confusion_matrix(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: Sequence[int], title: str
) -> Figure:
    """Plot the counts of true class (rows) against predicted class (columns); color shows only the mistakes.

    The counts are written into the cells of up to `MOST_NUMBERED` classes.

    Args:
        labels: int64 [samples].
        predicted: int64 [samples].
        classes: the label of each row and column, ascending.
        title: the title of the figure.
    """
    num_classes = len(classes)
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (np.searchsorted(classes, labels), np.searchsorted(classes, predicted)), 1)
    mistakes = matrix.astype(float)
    # On a scale with the right answers, mistakes would have no visible color.
    np.fill_diagonal(mistakes, np.nan)
    side = min(1.6 + 0.46 * num_classes, MOST_INCHES)
    figure = new_figure(side, side)
    axes = figure.subplots()
    image = axes.imshow(mistakes, cmap="Reds", vmin=0)
    if num_classes <= MOST_NUMBERED:
        _write_counts(axes, matrix, np.nanmax(mistakes, initial=1) / 2)
        ticks = range(num_classes)
    else:
        # Thousands of numbers would be too small to read, and take a minute to draw.
        figure.colorbar(image, ax=axes, shrink=0.8, aspect=40, pad=0.02, label="mistakes")
        ticks = range(0, num_classes, num_classes // 16)
    names = [str(classes[tick]) for tick in ticks]
    axes.set_xticks(ticks, labels=names)
    axes.set_yticks(ticks, labels=names)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    heading = title_in(f"{title}\n{int(np.nansum(mistakes))} mistakes in {len(labels):,}", side)
    axes.set_title(heading, fontsize=10, color=INK)
    return figure


def _write_counts(axes: Axes, matrix: NDArray[np.int64], half: float) -> None:
    """Write each count into its cell, in white above `half`, where the color is dark."""
    for (true, guess), count in np.ndenumerate(matrix):
        if count:
            weight = "bold" if true == guess else "normal"
            color = "white" if true != guess and count > half else INK
            axes.text(guess, true, str(count), ha="center", va="center", fontsize=8, weight=weight, color=color)


def confident_mistakes(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    confidence: NDArray[np.float32],
    title: str,
    most: int = 30,
) -> Figure:
    """Show the images of the wrong answers with the greatest confidence.

    Args:
        images: uint8 [samples, height, width].
        labels: int64 [samples].
        predicted: int64 [samples].
        confidence: float32 [samples], the probability of the predicted class.
        title: the title of the figure.
        most: the maximum number of images.
    """
    wrong = np.flatnonzero(labels != predicted)
    shown: Sequence[int] = wrong[np.argsort(-confidence[wrong], kind="stable")][:most].tolist()
    columns = 10
    rows = max(1, -(-len(shown) // columns))
    figure = new_figure(columns * 1.0, rows * 1.25 + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, index in zip(grid.flat, shown, strict=False):
        axes.imshow(images[index], cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(
            f"{labels[index]} as {predicted[index]}, {100 * confidence[index]:.0f} %", fontsize=7, color=SECOND, pad=2
        )
    heading = title_in(f"{title}: most confident mistakes (true class as predicted, confidence)", columns, 9)
    figure.suptitle(heading, fontsize=9, color=INK)
    return figure
