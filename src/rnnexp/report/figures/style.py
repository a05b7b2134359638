"""What the figures of a report share: their looks, legends that cover nothing, and files in two formats."""

import io
import textwrap
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnexp.core.atomic_files import write_bytes
from rnnexp.plots.translation import COLORS, MARKERS, drawable

MOST_NAMED = 10
"""Lines or points that a figure names: as many as colours stay apart."""
GREY = "#b8b8b8"


def looks(place: int) -> dict[str, Any]:
    """Colour and marker of one of several settings, the same in every panel."""
    return {"color": COLORS[place % len(COLORS)], "marker": MARKERS[place % len(MARKERS)]}


def tidy(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(alpha=0.25)
    axes.set_axisbelow(True)


def wrapped(text: str, letters: int) -> str:
    """As the font can draw it, in lines of at most that many letters."""
    return "\n".join(textwrap.wrap(drawable(text), letters)) or " "


def legend_beside(figure: Figure, handles: Sequence[Any], names: Sequence[str]) -> None:
    """To the right of all panels, where it covers nothing."""
    legend = figure.legend(
        list(handles), [wrapped(name, 34) for name in names], loc="outside right upper", frameon=False, fontsize=8.5
    )
    for text in legend.get_texts():
        text.set_parse_math(False)


def legend_inches(names: Sequence[str]) -> tuple[float, float]:
    """About how wide and how high the legend of these names is."""
    lines = [line for name in names for line in wrapped(name, 34).splitlines()]
    return 0.6 + 0.075 * max(map(len, lines), default=0), 0.2 + 0.2 * len(lines)


def encoded(figure: Figure, format_: str) -> bytes:
    """The content of a `png` or `svg` file; the same figure gives the same bytes."""
    buffer = io.BytesIO()
    with mpl.rc_context({"svg.hashsalt": "rnnexp"}):
        figure.savefig(buffer, format=format_, metadata={"Date": None} if format_ == "svg" else None)
    return buffer.getvalue()


def save_picture(figure: Figure, directory: Path, stem: str) -> bytes:
    """As PNG and as SVG. Returns the SVG."""
    directory.mkdir(parents=True, exist_ok=True)
    write_bytes(directory / f"{stem}.png", encoded(figure, "png"))
    svg = encoded(figure, "svg")
    write_bytes(directory / f"{stem}.svg", svg)
    return svg
