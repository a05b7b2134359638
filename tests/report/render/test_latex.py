"""report.tex compiles whatever the texts are, and cites the sources of published numbers."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

from rnnexp.report.published import bibliography, published_numbers
from rnnexp.report.render.document import Document, FigureBlock, Paragraph, Section, Table
from rnnexp.report.render.latex import MOST_ROWS, cited_keys, escape, references, to_latex

HOSTILE = (
    "\\input{/etc/passwd} 100 % #1 $x$ a_b ^ ~ & {} \\\\ [0pt]",
    "--option='a' `b` \"c\" <d> | e; ?`",
    "漢字 🙂 e\u0301 \u202e ß é Ł ± → Φ ≥ 0.5 – −1 μ ² … ×",
    "[2em] begins with a bracket",
    "x" * 5000,
    "\x1b[31m",
    "",
)
LATIN = "".join(map(chr, range(0x20, 0x180)))


def document(rows: list[list[str]], citations: list[list[str]]) -> Document:
    columns = [f"column {number} {HOSTILE[0]}" for number in range(len(rows[0]))]
    table = Table(columns, rows, frozenset(columns[:1]), citations=citations)
    inner = Section(HOSTILE[2], [Paragraph(text) for text in HOSTILE], [Section("deep", [], [Section("deeper", [])])])
    runs = Section("Runs", [Table(["run"], [["listed"]])], is_reference=True)
    return Document(HOSTILE[1], HOSTILE[0], [Section("Answer", [table], [inner, runs])])


def test_texts_have_no_commands_of_their_own() -> None:
    for text in HOSTILE:
        shown = escape(text)
        assert not re.search(r"(?<!\\)[%#&$_~^]|\\input|\n", shown)
    assert escape("--plan 5_0 %") == r"{-}{-}plan 5\_0 \%"
    assert escape("漢 ± é") == r"[U+6F22] \textpm{} é"


def test_a_long_table_is_written_as_several() -> None:
    text = to_latex(
        Document("title", "note", [Section("Data", [Table(["n"], [[f"row{n}"] for n in range(2 * MOST_ROWS + 1)])])])
    )
    assert text.count(r"\begin{tabular}") == text.count(r"\bottomrule") == 3
    assert all(f"row{n} " in text for n in range(2 * MOST_ROWS + 1))


def test_lists_of_runs_are_left_out() -> None:
    assert "listed" not in to_latex(document([["a"]], [[]]))


def test_every_published_source_has_its_entry_and_every_entry_its_source() -> None:
    keys = list(dict.fromkeys(number.key for number in published_numbers()))
    assert len(keys) > 5
    entries = re.findall(r"^@\w+\{(.+),$", bibliography(), flags=re.MULTILINE)
    assert sorted(entries) == sorted(keys)
    # Two chapters of one repository.
    assert len({number.source for number in published_numbers()}) == len(keys) + 1


def test_only_cited_entries_are_written() -> None:
    cited = document([["a"], ["b"]], [["gu2022s4"], []])
    assert cited_keys(cited.sections) == ["gu2022s4"]
    assert r"\cite{gu2022s4}" in to_latex(cited)
    written = references(bibliography(), ["gu2022s4"])
    assert re.findall(r"^@", written, flags=re.MULTILINE) == ["@"]
    uncited = to_latex(document([["a"]], [[]]))
    assert r"\bibliography{" not in uncited
    # BibTeX ends with an error without a citation.
    assert ["bibtex" in text.splitlines()[0] for text in (to_latex(cited), uncited)] == [True, False]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("pdflatex") is None, reason="no LaTeX: apt-get install texlive-latex-base")
def test_it_compiles(tmp_path: Path) -> None:
    keys = [number.key for number in published_numbers()]
    rows = [[text, "1.0", text] for text in (*HOSTILE, *LATIN.split("~"))]
    written = document(rows, [[key] for key in keys[: len(rows)]])
    (tmp_path / "figures").mkdir()
    shutil.copy(Path(__file__).parents[3] / "docs/images/report.png", tmp_path / "figures/a.png")
    written = Document(
        written.title, written.note, [*written.sections, Section("F", [FigureBlock("figures/a.png", b"", HOSTILE[0])])]
    )
    (tmp_path / "report.tex").write_text(to_latex(written), encoding="utf-8")
    (tmp_path / "references.bib").write_text(references(bibliography(), list(dict.fromkeys(keys))), encoding="utf-8")
    for command in ("pdflatex", "bibtex", "pdflatex", "pdflatex"):
        options = ["-interaction=nonstopmode", "-halt-on-error"] if command == "pdflatex" else []
        done = subprocess.run(
            [command, *options, "report"], cwd=tmp_path, capture_output=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stdout.decode("latin-1")[-3000:]
    log = (tmp_path / "report.log").read_text(encoding="latin-1")
    assert "undefined" not in log
    assert "Missing character" not in log
    assert (tmp_path / "report.pdf").stat().st_size > 10_000
