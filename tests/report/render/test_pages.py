"""A report has the same content in Markdown and HTML, and names of runs are escaped in both."""

import base64
import re
from html.parser import HTMLParser
from importlib.resources import files

import pytest

from rnnexp.report.render.document import Document, FigureBlock, Paragraph, Section, Table
from rnnexp.report.render.html import to_html
from rnnexp.report.render.markdown import escape, to_markdown

SVG = b'<?xml version="1.0"?>\n<svg xmlns:xlink="x" width="72pt" height="36pt" viewBox="0 0 72 36"></svg>'
NASTY = '<script>alert("a & b")</script> | `code` *bold* _it_ [link](x) \\ ~~'
DOCUMENT = Document(
    "A title",
    "a note",
    [
        Section("Answer", [Paragraph(NASTY)]),
        Section(
            "Data & more",
            [],
            [
                Section(
                    "Results",
                    [
                        Table(["name", "n"], [[NASTY, "1"], ["b", "2"]], frozenset({"n"}), ["best", ""]),
                        FigureBlock("figures/a.png", SVG, "What is seen"),
                    ],
                )
            ],
        ),
    ],
)


class Page(HTMLParser):
    """A parser that records tags, texts and links, and requires that tags are closed."""

    VOID = frozenset({"meta", "img", "br", "input"})

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] not in (["style"], ["script"]):
            self.text += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.seen if name == tag]


def test_the_page_is_valid_and_needs_no_other_files() -> None:
    html = to_html(DOCUMENT)
    page = Page(html)
    assert page.open == []
    assert html.startswith("<!DOCTYPE html>")
    assert page.all("script") == [{}]
    assert page.all("link") == []
    assert NASTY in page.text
    (image,) = page.all("img")
    kind, _, content = str(image["src"]).partition(",")
    assert kind == "data:image/svg+xml;base64"
    assert base64.b64decode(content) == SVG
    # A point is 1/72 inch, and a pixel of the page 1/96 inch.
    assert (image["width"], image["height"], image["alt"]) == ("96", "48", "What is seen")
    assert not re.findall(r"https?:|url\(|@import", html)


def test_links_within_the_page_have_targets() -> None:
    page = Page(to_html(DOCUMENT))
    anchors = {str(section["id"]) for section in page.all("section") if "id" in section}
    assert [str(link["href"]).removeprefix("#") in anchors for link in page.all("a")] == [True, True]


def test_the_page_supports_light_and_dark_and_any_width() -> None:
    html = to_html(DOCUMENT)
    assert "color-scheme: light dark" in html
    assert "@media (prefers-color-scheme: dark)" in html
    assert {"name": "viewport", "content": "width=device-width, initial-scale=1"} in Page(html).all("meta")
    # Every table scrolls in its own box, which can be focused with the keyboard.
    assert re.findall(r'<div class="scroll" tabindex="0">(.)', html) == ["<"] * html.count("<table>")


def test_rows_and_numbers_are_marked() -> None:
    page = Page(to_html(DOCUMENT))
    assert [row.get("class") for row in page.all("tr")] == [None, "best", None]
    assert [cell.get("class") for cell in page.all("td")] == ["long", "number short", "short", "number short"]


def test_a_figure_without_a_size() -> None:
    broken = Document("", "", [Section("", [FigureBlock("a.png", b"<svg></svg>", "")])])
    with pytest.raises(ValueError, match="has no size"):
        to_html(broken)


def test_markdown() -> None:
    text = to_markdown(DOCUMENT)
    assert text.startswith("# A title\n\na note\n\n## Answer\n\n\\<script>")
    assert "## Data & more\n\n### Results\n\n| name | n |\n| --- | ---: |\n" in text
    assert text.endswith("| b | 2 |\n\n![What is seen](figures/a.png)\n\nWhat is seen\n")


def cells(line: str) -> list[str]:
    return re.split(r"(?<!\\)\|", line)[1:-1]


def test_markdown_tables_keep_their_columns() -> None:
    rows = [line for line in to_markdown(DOCUMENT).splitlines() if line.startswith("|")]
    assert [len(cells(row)) for row in rows] == [2, 2, 2, 2]


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("a\n b\t c", "a b c"),
        ("# no heading", "\\# no heading"),
        ("- no list", "\\- no list"),
        ("1. no list", "1\\. no list"),
        ("-1.5 and 2.5", "-1.5 and 2.5"),
        ("num_layers", "num\\_layers"),
        ("< 0.001", "\\< 0.001"),
    ],
)
def test_markdown_escapes_text(text: str, escaped: str) -> None:
    assert escape(text) == escaped


def test_the_template_and_the_style_are_part_of_the_package() -> None:
    for name in ("report.html.j2", "style.css", "page.js"):
        assert files("rnnexp.report.render").joinpath(name).is_file()


def test_figures_are_never_wider_than_the_page() -> None:
    html = to_html(DOCUMENT)
    assert re.search(r"\.card img \{[^}]*max-width: 100%", html)
    (image,) = Page(html).all("img")
    assert "style" not in image
