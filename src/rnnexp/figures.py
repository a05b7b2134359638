"""Pictures of one run, drawn from what its directory holds."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

INK, ACCENT, SECOND = "#222222", "#2166ac", "#b2182b"


def _figure(width: float, height: float) -> Figure:
    # A Figure of its own, without pyplot: nothing global, nothing that needs a display, nothing to close.
    return Figure(figsize=(width, height), layout="constrained", dpi=120)


def read_metric(metrics_file: Path, name: str) -> tuple[list[int], list[float]]:
    """Steps and values of one column of metrics.csv; empty if it was never logged."""
    steps, values = [], []
    with metrics_file.open(newline="") as file:
        for row in csv.DictReader(file):
            if row.get(name):
                steps.append(int(row["step"]))
                values.append(float(row[name]))
    return steps, values


def learning_curves(metrics_file: Path, loss: str, val_loss: str, score: str, title: str) -> Figure:
    """Training and validation loss, and the training and validation score, over steps."""
    figure = _figure(9, 3.6)
    left, right = figure.subplots(1, 2)
    for axes, names in ((left, (loss, val_loss)), (right, (f"train/{score}", f"val/{score}"))):
        for name, color in zip(names, (ACCENT, SECOND), strict=True):
            steps, values = read_metric(metrics_file, name)
            if steps:
                # Many points make a line; a point per epoch is marked, or a run of one epoch would show nothing.
                marker = "o" if len(steps) < 40 else None
                axes.plot(steps, values, color=color, linewidth=1.4, marker=marker, markersize=4, label=name)
        axes.set_xlabel("optimiser steps")
        axes.spines[["top", "right"]].set_visible(False)
        axes.grid(alpha=0.25)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
    left.set_yscale("log")
    left.set_ylabel("loss, nats")
    right.set_ylabel("accuracy" if score == "acc" else score)
    figure.suptitle(title, color=INK)
    return figure


def confusion_matrix(labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int, title: str) -> Figure:
    """Counts of true class (rows) against predicted class (columns); colour shows the mistakes alone."""
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    mistakes = matrix.astype(float)
    # Beside ten thousand right answers no mistake would be seen.
    np.fill_diagonal(mistakes, np.nan)
    side = 1.6 + 0.46 * num_classes
    figure = _figure(side, side)
    axes = figure.subplots()
    axes.imshow(mistakes, cmap="Reds", vmin=0)
    half = np.nanmax(mistakes, initial=1) / 2
    for true in range(num_classes):
        for guess in range(num_classes):
            if count := int(matrix[true, guess]):
                dark = true != guess and count > half
                weight = "bold" if true == guess else "normal"
                text_color = "white" if dark else INK
                axes.text(
                    guess, true, str(count), ha="center", va="center", fontsize=8, weight=weight, color=text_color
                )
    axes.set_xticks(range(num_classes))
    axes.set_yticks(range(num_classes))
    axes.set_xlabel("predicted class")
    axes.set_ylabel("true class")
    axes.set_title(f"{title}\n{int(np.nansum(mistakes))} mistakes in {len(labels):,}", fontsize=10, color=INK)
    return figure


def confident_mistakes(
    images: NDArray[np.uint8],
    labels: NDArray[np.int64],
    predicted: NDArray[np.int64],
    confidence: NDArray[np.float32],
    title: str,
    most: int = 30,
) -> Figure:
    """The wrong answers that were given with the greatest confidence, as images.

    Args:
        images: [samples, height, width], of the same samples as the rest.
        most: how many to show.
    """
    wrong = np.flatnonzero(labels != predicted)
    shown: Sequence[int] = wrong[np.argsort(-confidence[wrong], kind="stable")][:most].tolist()
    columns = 10
    rows = max(1, -(-len(shown) // columns))
    figure = _figure(columns * 1.0, rows * 1.25 + 0.5)
    grid = figure.subplots(rows, columns, squeeze=False)
    for axes in grid.flat:
        axes.axis("off")
    for axes, index in zip(grid.flat, shown, strict=False):
        axes.imshow(images[index], cmap="gray_r", vmin=0, vmax=255)
        axes.set_title(
            f"{labels[index]} as {predicted[index]}, {100 * confidence[index]:.0f} %", fontsize=7, color=SECOND, pad=2
        )
    figure.suptitle(f"{title}: most confident mistakes (true class as predicted, confidence)", fontsize=9, color=INK)
    return figure


def save_figure(figure: Figure, path: Path) -> None:
    """As PNG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, format="png")
