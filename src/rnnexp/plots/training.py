"""Figures of one run, from the files of its directory."""

from collections.abc import Collection, Mapping
from pathlib import Path

import numpy as np
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from rnnexp.plots.style import ACCENT, INK, SECOND, drawable, new_figure, style_axes, title_in
from rnnexp.tracking.gradient_flow_file import read_gradient_norms
from rnnexp.tracking.metrics_file import read_logged

MOST_DECADES = 12
"""The maximum number of decades of a logarithmic color scale; smaller gradients have the darkest color."""


def learning_curves(metrics_file: Path, labels: Mapping[str, str], logarithmic: Collection[str], title: str) -> Figure:
    """Plot metrics of the training and the validation split over optimizer steps, each metric in a panel of its own.

    Args:
        metrics_file: metrics.csv of the run.
        labels: the metrics on the validation split, with their names in the figure.
        logarithmic: those of them whose scale is logarithmic if the values span a decade.
        title: the title of the figure.
    """
    figure = new_figure(4.5 * len(labels), 3.6)
    panels = figure.subplots(1, len(labels), squeeze=False)[0]
    for axes, (val_name, label) in zip(panels, labels.items(), strict=True):
        names = (val_name.replace("val/", "train/", 1), val_name)
        for name, color in zip(names, (ACCENT, SECOND), strict=True):
            if logged := read_logged(metrics_file, name)[0]:
                # A single point is visible only with a marker, but many markers hide the line.
                marker = "o" if len(logged) < 40 else None
                steps, values = [value.step for value in logged], [value.value for value in logged]
                axes.plot(steps, values, color=color, linewidth=1.4, marker=marker, markersize=4, label=name)
        axes.set_xlabel("optimizer steps")
        style_axes(axes)
        if axes.get_legend_handles_labels()[0]:
            axes.legend(frameon=False)
        axes.set_ylabel(drawable(label))
        axes.xaxis.set_major_locator(MaxNLocator("auto", integer=True, min_n_ticks=1))
        low, high = axes.dataLim.intervaly
        # Within a decade a logarithmic axis has labels such as 4.85 × 10⁰.
        if val_name in logarithmic and high > 10 * low:
            axes.set_yscale("log")
    figure.suptitle(title_in(title, 4.5 * len(labels), 12), color=INK)
    return figure


def gradient_flow(gradient_flow_file: Path, title: str) -> Figure:
    """Plot the norm of the gradient by step of the sequence (x axis) and epoch (y axis), with a map for each layer.

    The map of the last layer is at the top. A vanishing gradient gets darker from right to left.

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
    figure.suptitle(title_in(f"{title}: gradient flow", 9), fontsize=10, color=INK)
    return figure
