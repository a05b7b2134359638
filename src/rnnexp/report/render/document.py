"""What a report is made of, whatever it is written in: sections of paragraphs, tables and pictures."""

from collections.abc import Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Paragraph:
    """Plain text."""

    text: str


@dataclass(frozen=True)
class Table:
    """Plain text in cells."""

    columns: Sequence[str]
    rows: Sequence[Sequence[str]]
    numeric: frozenset[str] = frozenset()
    """the columns of numbers, which are aligned at their right"""
    kinds: Sequence[str] = ()
    """of each row: empty, or one of best, even and bad, by which a page may colour it; words say it as well"""


@dataclass(frozen=True)
class Picture:
    """A figure that stands in files already."""

    file: str
    """its PNG, relative to the report"""
    svg: bytes
    caption: str


Block = Paragraph | Table | Picture


@dataclass(frozen=True)
class Section:
    """A heading and what stands below it."""

    title: str
    blocks: Sequence[Block]
    sections: Sequence["Section"] = field(default=())


@dataclass(frozen=True)
class Document:
    """A whole report."""

    title: str
    note: str
    """what was reported, and when"""
    sections: Sequence[Section]
