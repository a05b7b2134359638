"""Figures of a translating network: attention, and the share of right answers by length, distance and phenomenon.

A share is a number of 0..1 with n, the number of sentences (or words) that were counted. A share is NaN if nothing was
counted; it is left out. With n = 0 the number is unknown, and no interval is shown.
"""

import math
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from rnnexp.plots.attention import MOST_TOKEN_CHARACTERS, SPACE, validated_weights
from rnnexp.plots.style import (
    ACCENT,
    COLORS,
    INK,
    LIGHT,
    MARKERS,
    drawable,
    legend_beside,
    legend_inches,
    new_figure,
    style_axes,
    title_in,
)

WHITE_TO_BLUE = LinearSegmentedColormap.from_list("white to blue", ["#ffffff", LIGHT, ACCENT, "#053061"])
MOST_BANDS = 3
"""The maximum number of bands; more would hide each other."""
CELL, MOST_CELLS, CHARACTER = 0.24, 14.4, 0.085
"""The size in inches of a cell of the attention map, of all cells in one direction at most, and of a character."""


def token_label(token: str) -> str:
    """Return the label of a token on an axis: spaces are visible, and long tokens are truncated."""
    shown = drawable(token.replace(" ", SPACE).replace("\u2581", SPACE))
    return shown if len(shown) <= MOST_TOKEN_CHARACTERS else shown[: MOST_TOKEN_CHARACTERS - 1] + "…"


def wilson_interval(share: float, n: int) -> tuple[float, float]:
    """Return the ends of a share's 95 % confidence interval (Wilson, 1927), which are within 0..1.

    Args:
        share: the share; a mean over several runs is rounded to a whole number of n.
        n: the number of sentences or words, at least 1.
    """
    # scipy.stats is slow to import, and attention maps do not need it.
    from scipy.stats import binomtest

    low, high = binomtest(round(share * n), n).proportion_ci(method="wilson")
    return float(low), float(high)


def _validate_shares(items: Iterable[tuple[object, tuple[float, int]]]) -> None:
    for name, (share, n) in items:
        # An average of float32 numbers may be slightly above 1.
        if not math.isnan(share) and not -1e-6 <= share <= 1 + 1e-6:
            raise ValueError(f"{name}: a share must be within 0..1, not {share}")
        if n < 0:
            raise ValueError(f"{name}: n must not be negative, but is {n}")


def attention_map(source: Sequence[str], target: Sequence[str], weights: NDArray[np.floating], title: str) -> Figure:
    """Plot the attention weights of each target token over the source; white is 0 and the darkest blue 1.

    Args:
        source: [source_time] tokens, at the top. A space is shown as "·", a character that the font lacks as "▯".
        target: [target_time] tokens, at the left.
        weights: [target_time, source_time], each row a distribution over the source.
        title: the title of the figure.

    Raises:
        ValueError: if there are no tokens, or the weights have another shape or are not finite.
    """
    shown = validated_weights(source, target, weights)
    columns, rows = [token_label(token) for token in source], [token_label(token) for token in target]
    across, down = min(CELL * len(columns), MOST_CELLS), min(CELL * len(rows), MOST_CELLS)
    # With many tokens the cells are smaller, and so must be the names.
    size = min(9.0, 0.62 * 72 * min(across / len(columns), down / len(rows)))
    margin = CHARACTER * size / 9
    left, top = 0.6 + margin * max(map(len, rows)), 0.5 + margin * max(map(len, columns))
    # Few tokens get wider cells, so that the title and the color bar fit.
    width = max(3.2, left + across + 0.9)
    heading = title_in(title, width)
    height = max(2.2, top + max(down, 0.6) + 0.2 + 0.18 * (heading.count("\n") + 1))
    figure = new_figure(width, height)
    axes = figure.subplots()
    image = axes.imshow(shown, cmap=WHITE_TO_BLUE, vmin=0, vmax=1, aspect="auto", interpolation="nearest")
    axes.set_xticks(range(len(columns)), columns, rotation=90, fontsize=size, parse_math=False)
    axes.set_yticks(range(len(rows)), rows, fontsize=size, parse_math=False)
    axes.xaxis.tick_top()
    axes.xaxis.set_label_position("top")
    axes.tick_params(length=0)
    axes.set_xlabel("source", color=INK)
    axes.set_ylabel("target", color=INK)
    # Thin lines between the cells connect a weight with its tokens.
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    # The height of the color bar, in inches.
    tall = max(down, height - top - 0.4)
    length = min(0.85 * tall, 1.6)
    bar = figure.colorbar(image, ax=axes, shrink=length / tall, aspect=length / 0.1, pad=0.02, anchor=(0, 1))
    bar.set_ticks([0, 0.5, 1] if length > 0.4 else [0, 1])
    bar.ax.tick_params(labelsize=7)
    figure.suptitle(heading, fontsize=10, color=INK, parse_math=False)
    return figure


def accuracy_by_distance(curves: Mapping[str, Mapping[int, tuple[float, int]]], title: str) -> Figure:
    """Plot the share of right answers over distance, a line per label, with 95 % Wilson intervals as bands.

    There are no bands for more than three labels, since they would hide each other.

    Args:
        curves: label (a phenomenon, or a model) -> distance in words -> (share, n). The legend contains labels without
            shares as well, so that every label keeps its color.
        title: the title of the figure.

    Raises:
        ValueError: if there is no label, a share is outside 0..1, or an n is negative.
    """
    if not curves:
        raise ValueError("accuracy by distance needs at least one curve")
    for label, curve in curves.items():
        _validate_shares((f"{label}, distance {distance}", point) for distance, point in curve.items())

    names = [drawable(label) for label in curves]
    legend_width, legend_height = legend_inches(names) if len(names) > 1 else (0.0, 0.0)
    figure = new_figure(7 + legend_width, max(4.0, legend_height + 0.6))
    axes = figure.subplots()
    lines = []
    for index, curve in enumerate(curves.values()):
        known = sorted((distance, share, n) for distance, (share, n) in curve.items() if not math.isnan(share))
        color = ACCENT if len(names) == 1 else COLORS[index % len(COLORS)]
        lines += axes.plot(
            [distance for distance, _, _ in known],
            [share for _, share, _ in known],
            color=color,
            marker=MARKERS[index % len(MARKERS)],
            # Lines that repeat a color are dashed.
            linestyle="-" if index // len(COLORS) % 2 == 0 else "--",
            linewidth=1.5,
            markersize=6.5,
            markeredgecolor="white",
            markeredgewidth=0.4,
            # The frame does not clip markers at 100 %.
            clip_on=False,
            zorder=3,
        )
        counted = [(distance, *wilson_interval(min(max(share, 0.0), 1.0), n)) for distance, share, n in known if n]
        if counted and len(names) <= MOST_BANDS:
            distances, low, high = zip(*counted, strict=True)
            axes.fill_between(distances, low, high, color=color, alpha=0.18, linewidth=0)
    shares = [share for curve in curves.values() for share, _ in curve.values() if not math.isnan(share)]
    # The scale begins at a multiple of 20 %: from 0, high lines would overlap; a tight scale would exaggerate.
    axes.set_ylim(max(0.0, math.floor(min(shares, default=0.0) * 5 - 0.25) / 5), 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("distance, words")
    axes.set_ylabel("share right")
    style_axes(axes)
    if len(names) > 1:
        legend_beside(figure, lines, list(curves))
    else:
        axes.set_ylabel(f"share right: {names[0]}", parse_math=False)
    figure.suptitle(title_in(title, 7 + legend_width), fontsize=10, color=INK, parse_math=False)
    return figure


def _percent(share: float) -> str:
    # 100 and 0 are shown only if all, or none, are right.
    rounded = round(100 * share)
    if rounded == 100 and share < 1:
        return ">99"
    return "<1" if rounded == 0 and share > 0 else str(rounded)


def accuracy_grid(cells: Mapping[tuple[str, int], tuple[float, int]], title: str) -> Figure:
    """Plot the share of right answers of each phenomenon (rows) at each distance (columns), in percent.

    Args:
        cells: (phenomenon, distance in words) -> (share, n), phenomena in the order of the rows; a missing cell stays
            blank.
        title: the title of the figure.

    Raises:
        ValueError: if there is no cell, a share is outside 0..1, or an n is negative.
    """
    if not cells:
        raise ValueError("an accuracy grid needs at least one cell")
    _validate_shares((f"{name}, distance {distance}", cell) for (name, distance), cell in cells.items())

    names = list(dict.fromkeys(name for name, _ in cells))
    distances = sorted({distance for _, distance in cells})
    shares = np.full((len(names), len(distances)), np.nan)
    for (name, distance), (share, _) in cells.items():
        shares[names.index(name), distances.index(distance)] = share
    labels = [drawable(name) for name in names]
    width = max(3.6, 1.6 + CHARACTER * max(map(len, labels)) + 0.46 * len(distances))
    heading = title_in(title, width)
    figure = new_figure(width, max(2.4, 1.0 + 0.18 * (heading.count("\n") + 1) + 0.34 * len(names)))
    axes = figure.subplots()
    image = axes.imshow(np.ma.masked_invalid(shares), cmap="cividis", vmin=0, vmax=1, aspect="auto")
    for (row, column), share in np.ndenumerate(shares):
        if not math.isnan(share):
            color = "white" if share < 0.55 else INK
            axes.text(column, row, _percent(float(share)), ha="center", va="center", fontsize=9, color=color)
    axes.set_xticks(range(len(distances)), [str(distance) for distance in distances], fontsize=9)
    axes.set_yticks(range(len(names)), labels, fontsize=9, parse_math=False)
    axes.set_xticks(np.arange(len(distances) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(names) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="white", linewidth=1)
    axes.tick_params(which="both", length=0)
    axes.spines[:].set_visible(False)
    axes.set_xlabel("distance, words")
    bar = figure.colorbar(image, ax=axes, shrink=0.8, aspect=20, pad=0.02)
    bar.ax.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    bar.ax.tick_params(labelsize=7)
    bar.set_label("share right", fontsize=9)
    figure.suptitle(heading, fontsize=10, color=INK, parse_math=False)
    return figure


def scores_by_length(buckets: Mapping[str, tuple[float, int]], title: str) -> Figure:
    """Plot the share of right answers by source length as bars, with n and 95 % Wilson intervals.

    Args:
        buckets: name of the bucket, such as "6-10" -> (share, n), in the order of the bars.
        title: the title of the figure.

    Raises:
        ValueError: if there is no bucket, a share is outside 0..1, or an n is negative.
    """
    if not buckets:
        raise ValueError("scores by length need at least one bucket")
    _validate_shares(buckets.items())

    labels = [drawable(name) for name in buckets]
    widest = max(len(text) for text in [*labels, *(f"n = {n:,}" for _, n in buckets.values())])
    width = max(4.0, 1.0 + len(labels) * max(0.6, 0.1 + 0.085 * widest))
    figure = new_figure(width, 3.6)
    axes = figure.subplots()
    for place, (share, n) in enumerate(buckets.values()):
        top = 0.0 if math.isnan(share) else min(max(share, 0.0), 1.0)
        axes.bar(place, top, width=0.7, color=LIGHT)
        if n and not math.isnan(share):
            low, high = wilson_interval(top, n)
            axes.errorbar(
                place, top, yerr=[[max(0.0, top - low)], [max(0.0, high - top)]], color=INK, linewidth=1, capsize=3
            )
            top = max(top, high)
        axes.annotate(
            f"n = {n:,}", (place, top), (0, 3), textcoords="offset points", ha="center", va="bottom", fontsize=8
        )
    axes.set_ylim(0, 1.1)
    axes.set_yticks([0, 0.2, 0.4, 0.6, 0.8, 1])
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.set_xlim(-0.6, len(labels) - 0.4)
    axes.set_xticks(range(len(labels)), labels, parse_math=False)
    axes.set_xlabel("source length, tokens")
    axes.set_ylabel("share right")
    style_axes(axes, grid="y")
    figure.suptitle(title_in(title, width), fontsize=10, color=INK, parse_math=False)
    return figure
