"""A report as one page that needs nothing else: pictures and style lie in it, and it asks no server for anything."""

import base64
import re
from collections.abc import Iterator
from html import escape

from rnnexp.report.render.document import Block, Document, Paragraph, Picture, Section, Table

STYLE = """
:root { color-scheme: light dark; --page: #ffffff; --ink: #1f2328; --soft: #59636e; --line: #d1d9e0; --head: #f3f5f7;
  --best: #dcf3e2; --even: #eef8f1; --bad: #fdeceb; --link: #0b5cad; }
@media (prefers-color-scheme: dark) {
  :root { --page: #14171b; --ink: #e2e6ea; --soft: #9aa4ae; --line: #363d45; --head: #1f242a;
    --best: #1d4a2c; --even: #1a2e22; --bad: #45211f; --link: #6cb2f5; }
}
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem clamp(0.9rem, 4vw, 3rem) 4rem; max-width: 84rem; background: var(--page);
  color: var(--ink); font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", sans-serif; }
h1 { font-size: 1.7rem; margin: 0 0 0.2rem; }
h2 { margin: 2.6rem 0 0.6rem; padding-top: 0.6rem; border-top: 1px solid var(--line); font-size: 1.35rem; }
h3 { margin: 1.9rem 0 0.5rem; font-size: 1.08rem; }
h1, h2, h3, p, figcaption { overflow-wrap: anywhere; text-wrap: pretty; }
p { max-width: 75ch; margin: 0.6rem 0; }
.note, figcaption { color: var(--soft); font-size: 0.92rem; }
a { color: var(--link); }
nav { display: flex; flex-wrap: wrap; gap: 0.3rem 1.1rem; margin-top: 0.9rem; }
.scroll, .picture { overflow-x: auto; width: fit-content; max-width: 100%; border: 1px solid var(--line);
  border-radius: 6px; }
.scroll { margin: 0.8rem 0; }
table { border-collapse: collapse; font-size: 0.88rem; font-variant-numeric: tabular-nums; }
th, td { padding: 0.36rem 0.7rem; text-align: left; vertical-align: top; border-top: 1px solid var(--line); }
thead th { border-top: 0; background: var(--head); vertical-align: bottom; font-weight: 600; }
td { max-width: 26rem; overflow-wrap: break-word; }
td.long { min-width: 15rem; }
th.long { min-width: 8rem; }
.short { white-space: nowrap; }
.number { text-align: right; }
tr.best td { background: var(--best); font-weight: 600; }
tr.even td { background: var(--even); }
tr.bad td { background: var(--bad); }
figure { margin: 1rem 0; }
.picture { background: #ffffff; padding: 6px; }
figure img { display: block; max-width: 100%; height: auto; }
figcaption { max-width: 75ch; margin-top: 0.4rem; }
"""
SHORT, SHORT_HEAD = 40, 17
"""Letters of a cell, and of a column's head, that are not broken into lines."""
LEAST_WIDTH = 620
"""Pixels below which a picture is not shrunk: where there are fewer it scrolls, or nobody could read it."""


def as_webpage(document: Document) -> str:
    """HTML, whole."""
    anchors = {section.title: f"s{number}" for number, section in enumerate(document.sections)}
    links = "".join(f'<a href="#{anchor}">{escape(title)}</a>' for title, anchor in anchors.items())
    parts = [
        "<!DOCTYPE html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{escape(document.title)}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
        f"<header><h1>{escape(document.title)}</h1>",
        f'<p class="note">{escape(document.note)}</p>',
        f"<nav>{links}</nav></header>",
        "<main>",
        *(line for section in document.sections for line in _section(section, 2, anchors[section.title])),
        "</main>",
        "</body>",
        "</html>",
    ]
    return "\n".join(parts) + "\n"


def _section(section: Section, level: int, anchor: str = "") -> Iterator[str]:
    yield f'<section id="{anchor}">' if anchor else "<section>"
    yield f"<h{level}>{escape(section.title)}</h{level}>"
    for block in section.blocks:
        yield _block(block)
    for inner in section.sections:
        yield from _section(inner, level + 1)
    yield "</section>"


def _block(block: Block) -> str:
    if isinstance(block, Paragraph):
        return f"<p>{escape(block.text)}</p>"
    if isinstance(block, Picture):
        return _picture(block)
    return _table(block)


def _picture(picture: Picture) -> str:
    content = base64.b64encode(picture.svg).decode()
    caption = escape(picture.caption)
    # The size keeps the place while the picture is decoded, so that nothing jumps.
    width, height = (round(float(points) * 4 / 3) for points in _size(picture.svg))
    size = f'width="{width}" height="{height}" style="min-width: {min(width, LEAST_WIDTH)}px"'
    image = f'<img src="data:image/svg+xml;base64,{content}" {size} alt="{caption}">'
    return f'<figure><div class="picture" tabindex="0">{image}</div><figcaption>{caption}</figcaption></figure>'


def _size(svg: bytes) -> tuple[str, str]:
    """Width and height in points, as matplotlib writes them."""
    match = re.search(rb'<svg [^>]*width="([\d.]+)pt" height="([\d.]+)pt"', svg)
    if match is None:
        raise ValueError("the picture does not say its size")
    return match[1].decode(), match[2].decode()


def _table(table: Table) -> str:
    numeric = [column in table.numeric for column in table.columns]
    head = "".join(
        f'<th scope="col"{_class(_kind(column, is_number, SHORT_HEAD))}>{escape(column)}</th>'
        for column, is_number in zip(table.columns, numeric, strict=True)
    )
    lines = []
    for place, row in enumerate(table.rows):
        cells = "".join(
            f"<td{_class(_kind(cell, is_number, SHORT))}>{escape(cell)}</td>"
            for cell, is_number in zip(row, numeric, strict=True)
        )
        lines.append(f"<tr{_class(table.kinds[place] if table.kinds else '')}>{cells}</tr>")
    body = "\n".join(lines)
    return (
        f'<div class="scroll" tabindex="0"><table><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table></div>'
    )


def _kind(cell: str, is_number: bool, short: int) -> str:
    return f"{'number ' if is_number else ''}{'short' if len(cell) <= short else 'long'}"


def _class(name: str) -> str:
    return f' class="{name}"' if name else ""
