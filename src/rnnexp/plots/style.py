"""The style of all figures: size, colors, markers, axes, legends, text that the font can show, and files."""

import io
import textwrap
import unicodedata
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.font_manager import FontProperties, findfont, get_font
from matplotlib.text import Text

from rnnexp.core.files.atomic import write_bytes
from rnnexp.plots.attention import NO_GLYPH

INK, ACCENT, SECOND = "#222222", "#2166ac", "#b2182b"
LIGHT, GRAY = "#92c5de", "#b8b8b8"
# Petroff (2021), arXiv:2107.02270: ten colors that color-blind readers can distinguish. With 13 markers, 130 lines
# differ in color or marker, since 10 and 13 are coprime.
COLORS = (
    "#3f90da", "#ffa90e", "#bd1f01", "#94a4a2", "#832db6", "#a96b59", "#e76300", "#b9ac70", "#717581", "#92dadd"
)  # fmt: skip
MOST_LETTERS = 300
"""The length of a line of a title."""
LEGEND_LETTERS = 34
"""The length of a line of a legend."""
MARKERS = "osD^vPX<>phd*"


def new_figure(width: float, height: float) -> Figure:
    """Return an empty figure of a size in inches. It does not use pyplot, which has global state."""
    return Figure(figsize=(width, height), layout="constrained", dpi=120)


def line_style(place: int) -> dict[str, Any]:
    """Return the color and marker of the series with that number, the same in every panel."""
    return {"color": COLORS[place % len(COLORS)], "marker": MARKERS[place % len(MARKERS)]}


def style_axes(axes: Axes, grid: str = "both") -> None:
    """Remove the frame at the top and the right, and show a light grid below the data.

    Args:
        axes: the axes to style.
        grid: the lines of the grid, `both`, `x` or `y`.
    """
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis=grid, alpha=0.25)  # type: ignore[arg-type]
    axes.set_axisbelow(True)


@lru_cache
def _glyphs(font_file: str) -> frozenset[int]:
    return frozenset(get_font(font_file).get_charmap())


def drawable(text: str) -> str:
    """Return the text with "▯" for characters that the font lacks (matplotlib would warn), "⏎" for line breaks."""
    glyphs = _glyphs(findfont(FontProperties()))
    # Fonts have composed letters more often than combining accents.
    composed = unicodedata.normalize("NFC", text).replace("\n", "⏎")
    return "".join(
        character if ord(character) in glyphs and unicodedata.category(character) != "Cc" else NO_GLYPH
        for character in composed
    )


def wrapped(text: str, letters: int) -> str:
    """Return the drawable text, in lines of at most `letters` characters; never empty."""
    return "\n".join(textwrap.wrap(drawable(text), letters)) or " "


def title_in(text: str, inches: float, size: float = 10) -> str:
    """Return a title in lines that fit into a width in inches, at a font size in points; a long line is cut."""
    letters = max(12, int(inches * 72 / (0.56 * size)))
    lines = (line if len(line) <= MOST_LETTERS else f"{line[:MOST_LETTERS]}…" for line in text.split("\n"))
    return "\n".join(textwrap.fill(drawable(line), letters) for line in lines)


def legend_beside(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """Add a legend to the right of all panels; names are wrapped after `LEGEND_LETTERS`."""
    labels = [wrapped(name, LEGEND_LETTERS) for name in names]
    legend = figure.legend(list(handles), labels, loc="outside right upper", frameon=False, fontsize=8.5)
    for text in legend.get_texts():
        text.set_parse_math(False)


def legend_inches(names: Sequence[str]) -> tuple[float, float]:
    """Return the approximate width and height of a legend with these names, in inches."""
    lines = [line for name in names for line in wrapped(name, LEGEND_LETTERS).split("\n")]
    return 0.6 + 0.075 * max(map(len, lines), default=0), 0.2 + 0.2 * len(lines)


def encode_figure(figure: Figure, file_format: str) -> bytes:
    """Return the content of a `png` or `svg` file; equal figures give equal bytes.

    Text is shown as it is, and not as a formula between two `$`, except that of scales.
    """
    scales = {
        id(label)
        for axes in figure.axes
        for axis in (axes.xaxis, axes.yaxis)
        for label in axis.get_ticklabels(which="both")
    }
    for text in figure.findobj(Text):
        if id(text) not in scales:
            text.set_parse_math(False)
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "rnnexp"}):
        figure.savefig(buffer, format=file_format, metadata={"Date": None} if file_format == "svg" else None)
    return buffer.getvalue()


def save_figure(figure: Figure, path: Path) -> None:
    """Write a figure in the format of the file's suffix, and create its directory."""
    path.parent.mkdir(parents=True, exist_ok=True)
    write_bytes(path, encode_figure(figure, path.suffix.removeprefix(".")))
