"""Figures of one run, from the files of its directory."""

import csv
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from rnnexp.plots.style import ACCENT, INK, SECOND, new_figure, style_axes
from rnnexp.tracking.metrics_file import logged_values

MOST_DECADES = 12
"""The maximum number of decades of a logarithmic color scale; smaller gradients have the darkest color."""


def learning_curves(metrics_file: Path, val_metric: str, label: str, title: str) -> Figure:
    """Plot training and validation loss over optimizer steps, and another metric in a second panel.

    Args:
        metrics_file: metrics.csv of the run.
        val_metric: the metric on the validation split; for `val/loss` only the loss is plotted.
        label: the name of the metric in the figure.
        title: the title of the figure.
    """
    pairs = {"val/loss": "loss, nats", val_metric: label}
    figure = new_figure(4.5 * len(pairs), 3.6)
    left, *_ = all_axes = figure.subplots(1, len(pairs), squeeze=False)[0]
    for axes, val_name in zip(all_axes, pairs, strict=True):
        names = (val_name.replace("val/", "train/", 1), val_name)
        for name, color in zip(names, (ACCENT, SECOND), strict=True):
            if logged := logged_values(metrics_file, name):
                # A single point is visible only with a marker, but many markers hide the line.
                marker = "o" if len(logged) < 40 else None
                steps, values = [value.step for value in logged], [value.value for value in logged]
                axes.plot(steps, values, color=color, linewidth=1.4, marker=marker, markersize=4, label=name)
        axes.set_xlabel("optimizer steps")
        style_axes(axes)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
        axes.set_ylabel(pairs[val_name])
    left.set_yscale("log")
    figure.suptitle(title, color=INK)
    return figure


def confusion_matrix(labels: NDArray[np.int64], predicted: NDArray[np.int64], num_classes: int, title: str) -> Figure:
    """Plot the counts of true class (rows) against predicted class (columns); color shows only the mistakes.

    Args:
        labels: int64 [samples].
        predicted: int64 [samples].
        num_classes: the number of rows and columns.
        title: the title of the figure.
    """
    matrix = np.zeros((num_classes, num_classes), dtype=np.int64)
    np.add.at(matrix, (labels, predicted), 1)
    mistakes = matrix.astype(float)
    # On a scale with the right answers, mistakes would have no visible color.
    np.fill_diagonal(mistakes, np.nan)
    side = 1.6 + 0.46 * num_classes
    figure = new_figure(side, side)
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
    figure.suptitle(f"{title}: most confident mistakes (true class as predicted, confidence)", fontsize=9, color=INK)
    return figure


def read_gradient_norms(gradient_flow_file: Path) -> tuple[list[int], NDArray[np.float64]]:
    """Return the epochs of gradient_flow.csv, and ||dL/dh_t|| as float64 [layers, epochs, time]."""
    norms: dict[tuple[int, int, int], float] = {}
    with gradient_flow_file.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["quantity"] == "gradient_norm":
                norms[int(row["layer"]), int(row["epoch"]), int(row["index"])] = float(row["value"])
    layers, epochs, steps = (sorted(set(axis)) for axis in zip(*norms, strict=True))
    table = [[[norms.get((layer, epoch, t), np.nan) for t in steps] for epoch in epochs] for layer in layers]
    return epochs, np.array(table)


def gradient_through_time(gradient_flow_file: Path, title: str) -> Figure:
    """Plot the norm of the gradient by step of the sequence (x axis) and epoch (y axis), with a map for each layer.

    The map of the last layer is the first. A vanishing gradient gets darker from right to left.

    Args:
        gradient_flow_file: gradient_flow.csv of the run.
        title: the title of the figure.
    """
    epochs, norms = read_gradient_norms(gradient_flow_file)
    num_layers, num_epochs, time = norms.shape
    visible = norms[np.isfinite(norms) & (norms > 0)]
    largest = visible.max() if visible.size else 1.0
    # The scale has at least one decade, since matplotlib needs two different limits.
    smallest = max(visible.min(initial=largest / 10), largest * 10.0**-MOST_DECADES)
    height = 1.0 + num_layers * (0.6 + min(2.4, 0.16 * num_epochs))
    figure = new_figure(9, height)
    grid = figure.subplots(num_layers, 1, sharex=True, squeeze=False)[::-1, 0]
    for layer, axes in enumerate(grid):
        image = axes.imshow(
            np.maximum(norms[layer], smallest),
            norm=LogNorm(smallest, largest),
            cmap="magma",
            aspect="auto",
            interpolation="nearest",
            extent=(0.5, time + 0.5, num_epochs + 0.5, 0.5),
        )
        axes.set_facecolor("lightgrey")
        axes.set_ylabel("epoch")
        axes.set_title(f"layer {layer}" if num_layers > 1 else "", fontsize=9, color=INK, loc="left")
        places = [
            int(tick) for tick in MaxNLocator(6, integer=True).tick_values(1, num_epochs) if 1 <= tick <= num_epochs
        ]
        axes.set_yticks(places, [str(epochs[place - 1]) for place in places])
        axes.spines[:].set_visible(False)
    grid[0].set_xlabel("step t of the sequence")
    grid[0].xaxis.set_major_locator(MaxNLocator("auto", integer=True, steps=[1, 2, 5, 10]))
    faded = bool((norms < smallest).any())
    bar = figure.colorbar(image, ax=list(grid), extend="min" if faded else "neither", pad=0.02, aspect=6 * height)
    bar.set_label("‖∂L/∂h‖")
    bar.outline.set_visible(False)
    figure.suptitle(f"{title}: gradient through time", fontsize=10, color=INK)
    return figure
