"""Pictures of a translating network: where it looked, and how often it was right, by what it had to get right.

A share is a number of 0..1. Shares come with n, the number of sentences (or words) that were counted: a share of NaN
says that nothing was counted and is left out, and n = 0 says that the count is unknown, so that no interval is drawn.
"""

import math
import textwrap
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.ticker import MaxNLocator, PercentFormatter
from numpy.typing import NDArray

from rnnexp.plots.runs import ACCENT, INK, new_figure

# Petroff (2021), arXiv:2107.02270: ten colours that stay apart for colour-blind eyes. Thirteen markers: no common
# divisor, so that 130 lines differ.
COLORS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"
)  # fmt: skip
LIGHT = "#92c5de"
WHITE_TO_BLUE = LinearSegmentedColormap.from_list("white to blue", ["#ffffff", LIGHT, ACCENT, "#053061"])
MARKERS = "osD^vPX<>phd*"
MOST_BANDS = 3
NO_GLYPH, SPACE = "▯", "·"
MOST_TOKEN_CHARACTERS = 18
# Inches.
CELL, MOST_CELLS, CHARACTER = 0.24, 14.4, 0.085


@lru_cache
def _glyphs(font_file: str) -> frozenset[int]:
    return frozenset(get_font(font_file).get_charmap())


def drawable(text: str) -> str:
    """The text as the font can draw it: "▯" for what it lacks (matplotlib would warn), "⏎" for a line break."""
    glyphs = _glyphs(findfont(FontProperties()))
    # One sign per letter, where the font has it, and not a letter and its accent.
    composed = unicodedata.normalize("NFC", text).replace("\n", "⏎")
    return "".join(
        character if ord(character) in glyphs and unicodedata.category(character) != "Cc" else NO_GLYPH
        for character in composed
    )


def token_label(token: str) -> str:
    """A token as it stands on an axis: spaces seen, long ones cut."""
    shown = drawable(token.replace(" ", SPACE).replace("\u2581", SPACE))
    return shown if len(shown) <= MOST_TOKEN_CHARACTERS else shown[: MOST_TOKEN_CHARACTERS - 1] + "…"


def _title(text: str, inches: float, size: float = 10) -> str:
    # Lines of what fits: a title wider than its figure would be cut.
    letters = max(12, int(inches * 72 / (0.56 * size)))
    return "\n".join(textwrap.fill(drawable(line), letters) for line in text.splitlines())


def wilson_interval(share: float, n: int, z: float = 1.959964) -> tuple[float, float]:
    """Bounds of the share's 95 % confidence interval (Wilson, 1927): inside 0..1, and sound near both ends."""
    middle = (share + z**2 / (2 * n)) / (1 + z**2 / n)
    half = z / (1 + z**2 / n) * math.sqrt(share * (1 - share) / n + z**2 / (4 * n**2))
    return max(0.0, middle - half), min(1.0, middle + half)


def _checked(items: Iterable[tuple[object, tuple[float, int]]]) -> None:
    for name, (share, n) in items:
        # An average of float32 ends a little beyond 1.
        if not math.isnan(share) and not -1e-6 <= share <= 1 + 1e-6:
            raise ValueError(f"{name}: a share must be within 0..1, not {share}")
        if n < 0:
            raise ValueError(f"{name}: n must not be negative, but is {n}")


def attention_map(source: Sequence[str], target: Sequence[str], weights: NDArray[np.floating], title: str) -> Figure:
    """Where the decoder looked while it wrote each target token; white is 0 and the darkest blue 1.

    Args:
        source: [source_time] tokens, on top. A space is drawn as "·", what the font lacks as "▯".
        target: [target_time] tokens, on the left.
        weights: [target_time, source_time], each row a distribution over the source.
        title: above all.

    Raises:
        ValueError: for no tokens, weights of another shape, or weights that are not finite.
    """
    if not source or not target:
        raise ValueError(f"an attention map needs tokens, but got {len(source)} of source and {len(target)} of target")
    shown = np.asarray(weights, dtype=np.float64)
    if shown.shape != (len(target), len(source)):
        raise ValueError(f"weights must be [target, source] = {(len(target), len(source))}, not {shown.shape}")
    if not np.isfinite(shown).all():
        raise ValueError("weights must be finite")

    columns, rows = [token_label(token) for token in source], [token_label(token) for token in target]
    across, down = min(CELL * len(columns), MOST_CELLS), min(CELL * len(rows), MOST_CELLS)
    # Of the narrower direction, so that beyond the cap the names shrink with their cells and do not overlap.
    size = min(9.0, 0.62 * 72 * min(across / len(columns), down / len(rows)))
    margin = CHARACTER * size / 9
    left, top = 0.6 + margin * max(map(len, rows)), 0.5 + margin * max(map(len, columns))
    # Few tokens get wider cells: the title and the colorbar need their place.
    width = max(3.2, left + across + 0.9)
    heading = _title(title, width)
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
    # Hair lines between the cells: a weight is traced to its tokens.
    axes.set_xticks(np.arange(len(columns) + 1) - 0.5, minor=True)
    axes.set_yticks(np.arange(len(rows) + 1) - 0.5, minor=True)
    axes.grid(which="minor", color="#dddddd", linewidth=0.5)
    axes.tick_params(which="minor", length=0)
    # In inches, of the height that the least figure leaves.
    tall = max(down, height - top - 0.4)
    length = min(0.85 * tall, 1.6)
    bar = figure.colorbar(image, ax=axes, shrink=length / tall, aspect=length / 0.1, pad=0.02, anchor=(0, 1))
    bar.set_ticks([0, 0.5, 1] if length > 0.4 else [0, 1])
    bar.ax.tick_params(labelsize=7)
    figure.suptitle(heading, fontsize=10, color=INK, parse_math=False)
    return figure


def accuracy_by_distance(curves: Mapping[str, Mapping[int, tuple[float, int]]], title: str) -> Figure:
    """Share right over distance, a line for each label, with 95 % Wilson intervals as bands.

    More than three bands would hide each other: beyond that the lines stand alone.

    Args:
        curves: label (a phenomenon, or a model) to distance in words to (share right, n). A label with nothing to
            draw keeps its place in the legend, and every label its colour.
        title: above all.

    Raises:
        ValueError: for no labels, a share outside 0..1, or a negative n.
    """
    if not curves:
        raise ValueError("accuracy by distance needs at least one curve")
    for label, curve in curves.items():
        _checked((f"{label}, distance {distance}", point) for distance, point in curve.items())

    names = [drawable(label) for label in curves]
    legend_width = 0.0 if len(names) == 1 else 0.6 + 0.08 * min(30, max(map(len, names)))
    figure = new_figure(7 + legend_width, max(4.0, 0.8 + 0.22 * len(names)))
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
            # The second round of colours is dashed.
            linestyle="-" if index // len(COLORS) % 2 == 0 else "--",
            linewidth=1.5,
            markersize=6.5,
            markeredgecolor="white",
            markeredgewidth=0.4,
            # Lines that meet at 100 % are drawn over the frame, not cut by it.
            clip_on=False,
            zorder=3,
        )
        counted = [(distance, *wilson_interval(min(max(share, 0.0), 1.0), n)) for distance, share, n in known if n]
        if counted and len(names) <= MOST_BANDS:
            distances, low, high = zip(*counted, strict=True)
            axes.fill_between(distances, low, high, color=color, alpha=0.18, linewidth=0)
    shares = [share for curve in curves.values() for share, _ in curve.values() if not math.isnan(share)]
    # In steps of 20 %: lines that all lie high would else lie on each other, and a scale of its own would exaggerate.
    axes.set_ylim(max(0.0, math.floor(min(shares, default=0.0) * 5 - 0.25) / 5), 1)
    axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0, symbol=" %"))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    axes.set_xlabel("distance, words")
    axes.set_ylabel("share right")
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    if len(names) > 1:
        cut = [textwrap.shorten(name, 30, placeholder="…") if " " in name else name[:30] for name in names]
        legend = figure.legend(lines, cut, loc="outside right upper", frameon=False, fontsize=9)
        for text in legend.get_texts():
            text.set_parse_math(False)
    else:
        axes.set_ylabel(f"share right: {names[0]}", parse_math=False)
    figure.suptitle(_title(title, 7 + legend_width), fontsize=10, color=INK, parse_math=False)
    return figure


def _percent(share: float) -> str:
    # 100 and 0 are said only of what is always, or never, right.
    rounded = round(100 * share)
    if rounded == 100 and share < 1:
        return ">99"
    return "<1" if rounded == 0 and share > 0 else str(rounded)


def accuracy_grid(cells: Mapping[tuple[str, int], tuple[float, int]], title: str) -> Figure:
    """Share right of each phenomenon (rows, in the order given) at each distance (columns), in percent.

    Args:
        cells: (phenomenon, distance in words) to (share right, n); what is missing stays blank.
        title: above all.

    Raises:
        ValueError: for no cells, a share outside 0..1, or a negative n.
    """
    if not cells:
        raise ValueError("an accuracy grid needs at least one cell")
    _checked((f"{name}, distance {distance}", cell) for (name, distance), cell in cells.items())

    names = list(dict.fromkeys(name for name, _ in cells))
    distances = sorted({distance for _, distance in cells})
    shares = np.full((len(names), len(distances)), np.nan)
    for (name, distance), (share, _) in cells.items():
        shares[names.index(name), distances.index(distance)] = share
    labels = [drawable(name) for name in names]
    width = max(3.6, 1.6 + CHARACTER * max(map(len, labels)) + 0.46 * len(distances))
    heading = _title(title, width)
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
    """Share right of each bucket of source lengths, with 95 % Wilson intervals; above the bars what was counted.

    Args:
        buckets: name of the bucket, such as "6-10", to (share right, n), in the order to be shown.
        title: above all.

    Raises:
        ValueError: for no buckets, a share outside 0..1, or a negative n.
    """
    if not buckets:
        raise ValueError("scores by length need at least one bucket")
    _checked(buckets.items())

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
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.25)
    axes.set_axisbelow(True)
    figure.suptitle(_title(title, width), fontsize=10, color=INK, parse_math=False)
    return figure
