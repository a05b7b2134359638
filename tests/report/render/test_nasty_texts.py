"""Names, tags, errors and sentences of any kind change neither the structure of a report nor what reads it."""

import csv
import json
import re
import shutil
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnexp.report.__main__ import report
from rnnexp.report.records.groups import make_groups
from rnnexp.report.records.runs import Run
from rnnexp.report.render.markdown import escape
from rnnexp.report.render.results_csv import results_csv
from support.foreign_runs import change_config

NASTY = (
    "=cmd|' /C calc'!A0",
    "+1+1",
    "-2+3",
    "@SUM(A1)",
    "\t=1+1",
    "</td></table><script>alert(1)</script>",
    '"><img src=x onerror=alert(1)>',
    "{{ 1237 * 8861 }} {% raw %}",
    "a | b || c\\",
    "`code` *bold* [link](http://example.org) <http://example.org> http://example.org",
    "&lt;b&gt; &amp; &#60;",
    "\x1b[2J\x1b[31mred\x07",
    "two\nlines\r\n# heading\n- list",
    "a\u2028b\u202ec\x85d",
    "\udce4 not UTF-8 \ud800",
    "$\\frac{1$ and $_{ and $x$ \\input{/etc/passwd} #% ~^",
    "_hidden",
    "x" * 5000,
    "漢字 🙂 e\u0301 ‏עברית",
    "",
    "   ",
)
HIDDEN = re.compile("[\x00-\x09\x0b-\x1f\x7f-\x9f\u2028-\u202e\ud800-\udfff]")


def cells(line: str) -> list[str]:
    return re.split(r"(?<!\\)(?:\\\\)*\|", line)[1:-1]


def assert_intact(output: Path) -> dict[str, dict[str, str]]:
    """Return the rows of results.csv by the name of the run, after all files were found to have their structure."""
    html, markdown, latex, table = (
        (output / name).read_bytes().decode("utf-8")
        for name in ("report.html", "report.md", "report.tex", "results.csv")
    )
    for text in (html, markdown, latex, table):
        assert not HIDDEN.search(text)
    assert set(re.findall(r"<([a-z]+\d?)[\s>]", html)) <= {
        *("html", "head", "meta", "title", "style", "body", "header", "nav", "main", "section", "figure", "figcaption"),
        *(
            "h1",
            "h2",
            "h3",
            "h4",
            "p",
            "a",
            "div",
            "img",
            "table",
            "thead",
            "tbody",
            "tr",
            "th",
            "td",
            "picture",
            "source",
            "script",
            "details",
            "summary",
            "label",
            "input",
        ),
    }
    assert html.count("<script") == html.count("</script>") == 1, "the page's own"
    assert "10961057" not in re.sub(r"<img[^>]*>", "", html), "a template within a text is not rendered"
    widths = [len(cells(line)) if line.startswith("| ") else 0 for line in markdown.split("\n")]
    for before, after in pairwise(widths):
        assert 0 in (before, after) or before == after
    assert not re.search(r"(?<!\\)(?:\\\\)*[<`$]", re.sub(r"\\\\", "", markdown))
    rows = list(csv.reader(table.splitlines()))
    assert {len(row) for row in rows} == {len(rows[0])}
    for cell in (cell for row in rows for cell in row):
        assert not cell.startswith(("=", "+", "@", "\t", "\r")) or re.fullmatch(r"[+-]?[\d.e+-]+", cell)
        assert not cell.startswith("-") or float(cell) < 0
    return {Path(row[0]).name: dict(zip(rows[0], row, strict=True)) for row in rows[1:]}


def write_into_config(config: dict[str, Any], text: str, name: str) -> None:
    config["data"]["name"] = text
    config["data"]["root"] = "/nowhere"
    config["model"]["note"] = [text, name]
    config["tags"] = [text]


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, marks=[pytest.mark.slow] if place % 5 else [], id=ascii(text)[:20])
        for place, text in enumerate(NASTY)
    ],
)
def test_nasty_texts(text: str, digits: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The text is a value of an axis, a name of data and device, an id, a signature and a reason."""
    sweep = tmp_path / "sweep"
    for name in ("gru_1", "srn_1"):
        run = sweep / "jobs" / name
        shutil.copytree(digits / "jobs" / name, run, ignore=shutil.ignore_patterns("checkpoints", "figures"))
        # YAML and JSON in UTF-8 can hold a surrogate only as an escape sequence.
        writable = text.encode("utf-8", "backslashreplace").decode() if "\ud800" in text else text
        change_config(run, partial(write_into_config, text=writable, name=name))
        predictions = torch.load(run / "test_predictions.pt", weights_only=True)
        torch.save({**predictions, "ids": [text] * len(predictions["labels"])}, run / "test_predictions.pt")
        result = json.loads((run / "result.json").read_text(encoding="utf-8"))
        result["data"]["name"] = result["device"]["name"] = result["precision"]["effective"] = text
        result["signatures"] = {text: text}
        (run / "result.json").write_text(json.dumps(result), encoding="utf-8")
    failed = shutil.copytree(sweep / "jobs" / "gru_1", sweep / "jobs" / "failed")
    status = json.loads((failed / "status.json").read_text(encoding="utf-8"))
    (failed / "status.json").write_text(json.dumps(status | {"status": "failed", "reason": text}), encoding="utf-8")
    assert report([str(sweep), "--output", str(tmp_path / "report")]) == 0
    captured = capsys.readouterr()
    assert captured.err == ""
    assert not HIDDEN.search(captured.out)
    rows = assert_intact(tmp_path / "report")
    assert [rows[name]["status"] for name in ("gru_1", "srn_1", "failed")] == ["done", "done", "failed"]
    markdown = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "left out" not in markdown
    assert "| right | wrong | sample |" in markdown
    for name in ("learning_curves", "tradeoffs"):
        assert (tmp_path / "report" / "figures" / f"{name}.svg").stat().st_size > 1000


def test_nasty_sentences(phrases: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    sweep = Path(shutil.copytree(phrases, tmp_path / "sweep"))
    for file in (sweep / "jobs").glob("*/test_translations.jsonl"):
        rows = [json.loads(line) for line in file.read_text(encoding="utf-8").split("\n") if line]
        for number, row in enumerate(rows):
            row["source"] = row["reference"] = NASTY[number % len(NASTY)] + str(number)
            row["translation"] = row["reference"] if number % 3 == file.parts[-2].startswith("gru") else "\x1b[31m|$"
        file.write_text("\n".join(map(json.dumps, rows)) + "\n", encoding="utf-8")
    assert report([str(sweep), "--output", str(tmp_path / "report")]) == 0
    assert capsys.readouterr().err == ""
    assert_intact(tmp_path / "report")
    assert "Samples with different answers" in (tmp_path / "report" / "report.md").read_text(encoding="utf-8")


def test_numbers_in_a_table_stay_numbers(made: Callable[..., Run]) -> None:
    groups, _ = make_groups([made(acc=None, metrics={"test/loss": -1.5, "test/acc": 0.5}, optimizer__lr=-1e-05)])
    (row,) = csv.DictReader(results_csv(groups, []).splitlines())
    assert (row["test/loss"], row["lr"]) == ("-1.5", "-1e-05")


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("$x$", "\\$x\\$"),
        ("&lt;", "\\&lt;"),
        ("see http://a.org/b", "see http:\\//a.org/b"),
        ("===", "\\==="),
        ("---", "\\---"),
        ("\x1b[31m", "\\\\x1b\\[31m"),
    ],
)
def test_markdown_escapes_formulas_entities_and_addresses(text: str, escaped: str) -> None:
    assert escape(text) == escaped
