"""Render a report as one self-contained page of HTML, with figures, style and script."""

import base64
import re

from jinja2 import Environment, PackageLoader
from markupsafe import Markup

from rnnexp.core.printable import printable
from rnnexp.report.render.document import Document, FigureBlock, Paragraph, Point, Table

LONG_CELL, LONG_HEAD = 22, 12
"""Letters of a cell, and of a column's title, above which the text is wrapped."""


def to_html(document: Document) -> str:
    """Return the HTML of the page."""
    environment = Environment(
        loader=PackageLoader("rnnexp.report.render", "."),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        # Rendered parts of the page are Markup.
        finalize=lambda value: printable(value) if type(value) is str else value,
    )
    environment.tests |= {
        "paragraph": lambda block: isinstance(block, Paragraph),
        "table": lambda block: isinstance(block, Table),
    }
    environment.filters |= {"data_url": _data_url, "pixels": _pixels, "place": _place}
    environment.globals |= {"cell_class": _cell_class}
    return environment.get_template("report.html.j2").render(document=document)


def _data_url(figure: FigureBlock) -> Markup:
    # Base64 has no character that HTML interprets.
    return Markup(f"data:image/svg+xml;base64,{base64.b64encode(figure.svg).decode()}")  # noqa: S704


def _pixels(figure: FigureBlock) -> tuple[int, int]:
    """Return width and height, so that the browser reserves the space while it decodes the figure."""
    # An inch has 72 points, the unit of matplotlib, and 96 pixels.
    match = re.search(rb'<svg [^>]*width="([\d.]+)pt" height="([\d.]+)pt"', figure.svg)
    if match is None:
        raise ValueError(f"the SVG of {figure.file} has no size")
    width, height = (round(float(points) * 4 / 3) for points in match.groups())
    return width, height


def _place(point: Point) -> str:
    """Return the CSS that puts a point at its place in the figure, whatever the size of the image."""
    color = f"; --seed: {point.color}" if point.color else ""
    return f"left: {100 * point.x:.2f}%; top: {100 * point.y:.2f}%{color}"


def _cell_class(table: Table, column: str, cell: str | None = None) -> str:
    """Return the CSS classes of a cell, or of the column's title."""
    text, limit = (column, LONG_HEAD) if cell is None else (cell, LONG_CELL)
    width = "long" if len(text) > limit else "short"
    return f"number {width}" if column in table.numeric else width
