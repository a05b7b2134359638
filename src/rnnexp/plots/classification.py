"""Figures of a run of classification."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnnexp.plots.style import ACCENT, INK, SECOND, drawable, new_figure, style_axes, title_in

MOST_NUMBERED = 32
"""The maximum number of classes of which a confusion matrix shows counts."""
MOST_IMAGES = 30
"""The maximum number of images of mistakes."""
MOST_INCHES = 16.4
MOST_LETTERS = 24
"""The length of the shown name of a class."""


def confusion_matrix(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: Sequence[int], names: Sequence[str], title: str
) -> Figure:
    """Plot the counts of true class (rows) against predicted class (columns); color shows only the mistakes.

    The counts are written into the cells of up to `MOST_NUMBERED` classes.

    Args:
        labels: int64 [samples].
        predicted: int64 [samples].
        classes: the label of each row and column, ascending.
        names: the name of each class.
        title: the title of the figure.
    """
    num_classes = len(classes)
    matrix = _counts(labels, predicted, classes)
    mistakes = matrix.astype(float)
    # On a scale with the right answers, mistakes would have no visible color.
    np.fill_diagonal(mistakes, np.nan)
    longest = max(len(shortened(name)) for name in names)
    side = min(1.6 + 0.46 * num_classes + 0.1 * max(0, longest - 3), MOST_INCHES)
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
    shown = [shortened(names[tick]) for tick in ticks]
    axes.set_xticks(ticks, labels=shown, rotation=90 if longest > 3 else 0, parse_math=False)
    axes.set_yticks(ticks, labels=shown, parse_math=False)
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    heading = title_in(f"{title}\n{int(np.nansum(mistakes))} mistakes in {len(labels):,}", side)
    axes.set_title(heading, fontsize=10, color=INK)
    return figure


def class_scores(
    labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: Sequence[int], names: Sequence[str], title: str
) -> Figure:
    """Plot F1, recall and precision of each class as bars, the worst class by F1 first.

    A class that neither occurs nor is predicted has no F1 and is left out. Recall of a class that does not occur, and
    precision of one that is not predicted, have no bar.

    Args:
        labels: int64 [samples].
        predicted: int64 [samples].
        classes: the label of each class, ascending.
        names: the name of each class.
        title: the title of the figure.
    """
    matrix = _counts(labels, predicted, classes)
    right, true, guessed = matrix.diagonal(), matrix.sum(axis=1), matrix.sum(axis=0)
    scores = {
        "F1": 2 * right / np.maximum(true + guessed, 1),
        "recall": right / np.maximum(true, 1),
        "precision": right / np.maximum(guessed, 1),
    }
    present = np.flatnonzero(true + guessed)
    order = present[np.argsort(scores["F1"][present], kind="stable")][:MOST_NUMBERED]
    figure = new_figure(7.2, 1.6 + 0.3 * len(order))
    panels = figure.subplots(1, len(scores), sharey=True)
    for axes, (name, values) in zip(panels, scores.items(), strict=True):
        axes.barh(range(len(order)), values[order], color=ACCENT, height=0.7)
        axes.set_xlim(0, 1)
        axes.set_title(name, fontsize=9)
        style_axes(axes, grid="x")
    labels_of_bars = [f"{shortened(names[k])} ({true[k]:,})" for k in order]
    panels[0].set_yticks(range(len(order)), labels=labels_of_bars, parse_math=False)
    panels[0].invert_yaxis()
    fewer = f", the worst {len(order)} of {len(present)} classes" if len(order) < len(present) else ""
    figure.suptitle(title_in(f"{title}: scores by class (and its number){fewer}", 7.2), fontsize=10, color=INK)
    return figure


def shortened(name: str) -> str:
    """Return the drawable name of a class, cut after `MOST_LETTERS`."""
    shown = drawable(name)
    return shown if len(shown) <= MOST_LETTERS else f"{shown[: MOST_LETTERS - 1]}…"


def _counts(labels: NDArray[np.int64], predicted: NDArray[np.int64], classes: Sequence[int]) -> NDArray[np.int64]:
    """Return the number of samples by true and predicted class, int64 [classes, classes]."""
    matrix = np.zeros((len(classes), len(classes)), dtype=np.int64)
    np.add.at(matrix, (np.searchsorted(classes, labels), np.searchsorted(classes, predicted)), 1)
    return matrix


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
) -> Figure:
    """Show the images of the wrong answers with the greatest confidence.

    Args:
        images: uint8 [samples, height, width].
        labels: int64 [samples].
        predicted: int64 [samples].
        confidence: float32 [samples], the probability of the predicted class.
        title: the title of the figure.
    """
    wrong = np.flatnonzero(labels != predicted)
    shown: Sequence[int] = wrong[np.argsort(-confidence[wrong], kind="stable")][:MOST_IMAGES].tolist()
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
