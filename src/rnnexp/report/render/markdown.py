"""A report as Markdown, for GitHub and for reading as it is."""

import re
from collections.abc import Iterator

from rnnexp.report.render.document import Block, Document, Paragraph, Picture, Section, Table


def as_markdown(document: Document) -> str:
    """Tables in GitHub's form; pictures as links to their PNG."""
    parts = [f"# {escape(document.title)}", escape(document.note)]
    for section in document.sections:
        parts += _section(section, level=2)
    return "\n\n".join(parts) + "\n"


def escape(text: str) -> str:
    """Text that is to be read as it stands, in one line."""
    line = " ".join(text.split())
    # What opens emphasis, code, links, cells and tags anywhere; then what makes a heading or a list of a line.
    plain = re.sub(r"([\\`*_\[\]|<~])", r"\\\1", line)
    return re.sub(r"^(\d*)([#>+.)-])(?=\s)", r"\1\\\2", plain)


def _section(section: Section, level: int) -> Iterator[str]:
    yield f"{'#' * level} {escape(section.title)}"
    for block in section.blocks:
        yield _block(block)
    for inner in section.sections:
        yield from _section(inner, level + 1)


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return escape(block.text)
    if isinstance(block, Picture):
        return f"![{escape(block.caption)}]({block.file})\n\n{escape(block.caption)}"
    return _table(block)


def _table(table: Table) -> str:
    rules = ("---:" if column in table.numeric else "---" for column in table.columns)
    lines = [table.columns, list(rules), *table.rows]
    return "\n".join(
        "| " + " | ".join(cell if number == 1 else escape(cell) for cell in line) + " |"
        for number, line in enumerate(lines)
    )
