"""The content of a report, independent of its format: sections of paragraphs, tables and figures."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Paragraph:
    """A paragraph of plain text."""

    text: str


@dataclass(frozen=True)
class Table:
    """A table with plain text in its cells.

    Args:
        columns: the titles of the columns.
        rows: the cells of each row.
        numeric: the columns of numbers, which are aligned on the right.
        kinds: for each row `best`, `even`, `bad` or an empty text, which a page may show as a color.
    """

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[str] = frozenset()
    kinds: Sequence[str] = ()


@dataclass(frozen=True)
class FigureBlock:
    """A figure that has been written to files.

    Args:
        file: the path of the PNG, relative to the report.
        svg: the content of the SVG.
        caption: the caption.
    """

    file: str
    svg: bytes
    caption: str


Block = Paragraph | Table | FigureBlock


@dataclass(frozen=True)
class Section:
    """A heading, its blocks and its subsections."""

    title: str
    blocks: Sequence[Block]
    sections: Sequence["Section"] = field(default=())


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
