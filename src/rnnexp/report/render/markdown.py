"""Render a report as Markdown for GitHub."""

import re
from collections.abc import Iterator

from rnnexp.core.printable import printable
from rnnexp.report.render.document import Block, Document, FigureBlock, Paragraph, Section, Table


def to_markdown(document: Document) -> str:
    """Return the report with tables in GitHub's syntax, and figures as links to their PNG."""
    parts = [f"# {escape(document.title)}", escape(document.note)]
    for section in document.sections:
        parts += _section(section, level=2)
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Return the text in one line, with the characters of Markdown escaped."""
    line = " ".join(printable(text).split())
    # Emphasis, code, links, cells, tags, entities and formulas may begin anywhere; so may addresses, as `://`.
    plain = re.sub(r"([\\`*_\[\]|<~$]|&(?=[#\w])|(?<=:)/(?=/))", r"\\\1", line)
    # Headings and lists begin only at the start of a line.
    return re.sub(r"^(\d*)([#>+.)=-])(?=\s|[#>+=-]|$)", r"\1\\\2", plain)


def _section(section: Section, level: int) -> Iterator[str]:
    yield f"{'#' * level} {escape(section.title)}"
    for block in section.blocks:
        yield _block(block)
    for inner in (inner for inner in section.sections if not inner.is_reference):
        yield from _section(inner, level + 1)


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return escape(block.text)
    if isinstance(block, FigureBlock):
        return f"![{escape(block.caption)}]({block.file})\n\n{escape(block.caption)}"
    return _table(block)


def _table(table: Table) -> str:
    rules = ("---:" if column in table.numeric else "---" for column in table.columns)
    lines = [table.columns, list(rules), *table.rows]
    return "\n".join(
        "| " + " | ".join(cell if number == 1 else escape(cell) for cell in line) + " |"
        for number, line in enumerate(lines)
    )
