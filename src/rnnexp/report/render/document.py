"""The content of a report, independent of its format: sections of paragraphs, tables and figures."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Paragraph:
    """Plain text."""

    text: str


@dataclass(frozen=True)
class Table:
    """Plain text in cells.

    Args:
        columns: the titles of the columns.
        rows: the cells of each row.
        numeric: the columns of numbers, which are aligned at the right.
        kinds: for each row `best`, `even`, `bad` or nothing, which a page may show as a color.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[str] = frozenset()
    kinds: Sequence[str] = ()


@dataclass(frozen=True)
class FigureBlock:
    """A figure that has been written to files.

    Args:
        file: its PNG, relative to the report.
        svg: the content of its SVG.
        caption: what it shows.
    """

    file: str
    svg: bytes
    caption: str


Block = Paragraph | Table | FigureBlock


@dataclass(frozen=True)
class Section:
    """A heading with what follows it."""

    title: str
    blocks: Sequence[Block]
    sections: Sequence["Section"] = field(default=())


@dataclass(frozen=True)
class Document:
    """A whole report.

    Args:
        title: the title of the page.
        note: what was reported, and when.
        sections: its content.
    """

    title: str
    note: str
    sections: Sequence[Section]
