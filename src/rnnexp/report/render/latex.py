"""Render a report as LaTeX: tables with the rules of booktabs, figures, and citations of the published numbers."""

import re
from collections.abc import Iterator, Sequence

from rnnexp.core.printable import printable
from rnnexp.report.render.document import Block, Document, FigureBlock, Paragraph, Section, Table

PREAMBLE = r"""% The tables need \usepackage{booktabs, array, graphicx} and the command \fitted.
\documentclass[a4paper]{article}
\usepackage[T1]{fontenc}
\usepackage[margin=2cm]{geometry}
\usepackage{booktabs, array, graphicx}
\usepackage[hidelinks]{hyperref}
% Make its content as narrow as the line, if it is wider.
\newcommand{\fitted}[1]{\sbox0{#1}\ifdim\wd0>\linewidth\resizebox{\linewidth}{!}{\usebox0}\else\usebox0\fi}
\setlength{\parindent}{0pt}
\setlength{\parskip}{6pt}
\begin{document}
"""
HEADINGS = ("section", "subsection", "subsubsection", "paragraph")
MOST_ROWS = 40
"""The rows of a table that fit on a page; a longer table is written as several."""
LONG_CELL = 40
"""Letters of a cell above which its column has a width, so that its text is wrapped."""
COLUMN_WIDTH = "5cm"
SPECIAL = {
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar\allowbreak{}",
    '"': r"\textquotedbl{}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
    **{character: rf"\{character}" for character in "&%$#_{}"},
    # Double hyphens would be joined, as those of options.
    "-": "{-}",
    "–": r"\textendash{}",
    "−": r"\textminus{}",
    "…": r"\dots{}",
    "±": r"\textpm{}",
    "×": r"\texttimes{}",
    "μ": r"\ensuremath{\mu}",
    "Φ": r"\ensuremath{\Phi}",
    "≤": r"\ensuremath{\leq}",
    "≥": r"\ensuremath{\geq}",
    "²": r"\texttwosuperior{}",
    "→": r"\textrightarrow{}",
}

NOT_IN_T1 = "ĦħĸĿŀŉŦŧſ"
"""Letters of Latin Extended-A that the encoding T1 of fonts lacks; it has the others, and those of Latin-1."""


def to_latex(document: Document) -> str:
    """Return a whole document. Each table is a `tabular` that can be copied into another."""
    is_citing = bool(cited_keys(document.sections))
    # BibTeX fails without a citation.
    commands = ("pdflatex", "bibtex", "pdflatex", "pdflatex") if is_citing else ("pdflatex",)
    parts = [
        f"% Written by rnnexp. Compile with: {' && '.join(f'{command} report' for command in commands)}\n"
        + PREAMBLE
        + rf"\title{{{escape(document.title)}}}"
        + "\n\\author{}\n\\date{}\n\\maketitle",
        escape(document.note),
    ]
    for section in document.sections:
        parts += _section(section, level=0)
    if is_citing:
        parts.append("\\bibliographystyle{plain}\n\\bibliography{references}")
    return "\n\n".join([*parts, r"\end{document}"]) + "\n"


def cited_keys(sections: Sequence[Section]) -> list[str]:
    """Return the keys of the references that the tables of some sections and of their subsections cite."""
    keys: dict[str, None] = {}
    for section in sections:
        tables = [block for block in section.blocks if isinstance(block, Table)]
        keys |= dict.fromkeys(key for table in tables for row in table.citations for key in row)
        keys |= dict.fromkeys(cited_keys(section.sections))
    return list(keys)


def escape(text: str) -> str:
    """Return the text in one line, with the characters of LaTeX escaped.

    Letters that pdflatex has no font for are written by their number in Unicode.
    """
    return "".join(map(_character, " ".join(printable(text).split())))


def _character(character: str) -> str:
    if character in SPECIAL:
        return SPECIAL[character]
    return character if ord(character) < 0x180 and character not in NOT_IN_T1 else f"[U+{ord(character):04X}]"


def _section(section: Section, level: int) -> Iterator[str]:
    yield rf"\{HEADINGS[min(level, len(HEADINGS) - 1)]}*{{{escape(section.title)}}}"
    for block in section.blocks:
        yield from _block(block)
    for inner in (inner for inner in section.sections if not inner.is_reference):
        yield from _section(inner, level + 1)


def _block(block: Block) -> Iterator[str]:
    if isinstance(block, Paragraph):
        yield escape(block.text)
    elif isinstance(block, FigureBlock):
        picture = rf"\includegraphics[width=\linewidth, height=0.8\textheight, keepaspectratio]{{{block.file}}}"
        yield f"{picture}\n\n{escape(block.caption)}"
    else:
        for first in range(0, len(block.rows), MOST_ROWS):
            yield _tabular(block, range(first, min(first + MOST_ROWS, len(block.rows))))


def _tabular(table: Table, rows: Sequence[int]) -> str:
    columns = zip(table.columns, zip(*table.rows, strict=True), strict=True)
    form = " ".join(_column_type(title, cells, title in table.numeric) for title, cells in columns)
    lines = [rf"\fitted{{\begin{{tabular}}{{@{{}}{form}@{{}}}}", r"\toprule"]
    lines += [" & ".join(map(escape, table.columns)) + r" \\", r"\midrule"]
    for row in rows:
        cells = [*map(escape, table.rows[row])]
        cells[-1] += _citation(table.citations[row]) if table.citations else ""
        # A bracket at the start of a line would be read as the argument of the line end before it.
        lines.append("{}" + " & ".join(cells) + r" \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}}"])


def _column_type(title: str, cells: Sequence[str], is_numeric: bool) -> str:
    if max(map(len, (title, *cells))) > LONG_CELL:
        return rf">{{\raggedright\arraybackslash}}p{{{COLUMN_WIDTH}}}"
    return "r" if is_numeric else "l"


def _citation(keys: Sequence[str]) -> str:
    return rf"~\cite{{{','.join(keys)}}}" if keys else ""


def references(bibliography: str, keys: Sequence[str]) -> str:
    """Return those entries of a bibliography in the form of BibTeX that have one of the keys.

    Args:
        bibliography: entries with an empty line between them.
        keys: the keys.
    """
    entries = {match[1]: entry for entry in bibliography.split("\n\n") if (match := re.match(r"@\w+\{([^,]+),", entry))}
    return "\n\n".join(entries[key].strip() for key in keys) + "\n"
