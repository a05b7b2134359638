"""The content of a report, independent of its format: sections of paragraphs, tables and figures."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of plain text.

    Args:
        text: the text.
        is_lead: whether it is the answer itself, which a page shows larger.
    """

    text: str
    is_lead: bool = False


@dataclass(frozen=True)
class Table:
    """A table with plain text in its cells.

    Args:
        columns: the titles of the columns.
        rows: the cells of each row.
        numeric: the columns of numbers, which are aligned on the right.
        kinds: for each row `best`, `even`, `bad` or an empty text, which a page may show as a color.
        seeds: for each row the rows of its seeds, which only a page shows.
        anchors: for each row the name by which links of the page refer to it.
        citations: for each row the keys of its sources in references.bib.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[str] = frozenset()
    kinds: Sequence[str] = ()
    seeds: Sequence[Sequence[Sequence[str]]] = ()
    anchors: Sequence[str] = ()
    citations: Sequence[Sequence[str]] = ()


@dataclass(frozen=True)
class Point:
    """A point of a figure, about which a page tells more.

    Args:
        x: its distance from the left edge, as a share of the figure's width.
        y: its distance from the upper edge, as a share of the figure's height.
        text: what it shows.
        anchors: the anchors of the rows of its runs.
        color: the color of the point of a seed, which only a page draws; empty for a point of the figure itself.
    """

    x: float
    y: float
    text: str
    anchors: Sequence[str]
    color: str = ""


@dataclass(frozen=True)
class FigureBlock:
    """A figure that has been written to files.

    Args:
        file: the path of the PNG, relative to the report.
        svg: the content of the SVG, without the points that a page draws.
        caption: the caption.
        points: its points.
    """

    file: str
    svg: bytes
    caption: str
    points: Sequence[Point] = ()


Block = Paragraph | Table | FigureBlock


@dataclass(frozen=True)
class Section:
    """A heading, its blocks and its subsections.

    Args:
        title: the heading.
        blocks: its blocks.
        sections: its subsections.
        is_reference: whether it is a long list to look things up in: a page shows it folded, and texts omit it.
    """

    title: str
    blocks: Sequence[Block]
    sections: Sequence["Section"] = field(default=())
    is_reference: bool = False


@dataclass(frozen=True)
class Document:
    """A whole report.

    Args:
        title: the title of the page.
        note: a line with the number of runs, their directories and the time.
        sections: the sections.
    """

    title: str
    note: str
    sections: Sequence[Section]
