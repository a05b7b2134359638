"""The page of a report in a real browser: sorting, filtering, hiding, points, seeds, and any window."""

from pathlib import Path
from typing import Any

import pytest

from rnnexp.report.__main__ import report
from rnnexp.report.render.document import Document, FigureBlock, Paragraph, Point, Section, Table
from rnnexp.report.render.html import to_html
from support.browser import find_browser, run_in_page

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(find_browser() is None, reason="no browser: apt-get install chromium"),
]

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>\"'&lt;"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg" width="360pt" height="180pt" viewBox="0 0 360 180"></svg>'
ROWS = [
    ["lstm", "98.90 ± 0.10", "12,000", "< 0.001"],
    ["gru", "99.10", "9,500", "0.04"],
    ["srn", "–", "800", "too few seeds"],
    ["mgu", "-1.00", "1,200,000", "0.5"],
    [HOSTILE, "97.00", "30", "1"],
]
RUNS = [[f"jobs/{row[0]}", f"rnnexp train model={row[0]}"] for row in ROWS]
TABLE = Table(
    ["cell", "accuracy, %", "parameters", "p"],
    ROWS,
    frozenset({"accuracy, %", "parameters"}),
    ["best", "", "", "", "bad"],
    seeds=[[["seed 1", "98.80", "", ""], ["seed 2", "99.00", "", ""]], [], [], [], []],
)
POINTS = [
    Point(0.25, 0.5, "lstm: 98.90", ["run-0", "run-1"]),
    Point(0.99, 0.01, HOSTILE, ["run-4"]),
    Point(0.5, 0.5, "lstm, seed 1", ["run-0"], "#2166ac"),
]
DOCUMENT = Document(
    HOSTILE,
    "a note",
    [
        Section("Answer", [Paragraph("The best is lstm.", is_lead=True), FigureBlock("a.png", SVG, "Scores", POINTS)]),
        Section(
            "Data",
            [TABLE],
            [
                Section(
                    "Runs", [Table(["run", "command"], RUNS, anchors=[f"run-{n}" for n in range(5)])], is_reference=True
                )
            ],
        ),
    ],
)
TOOLS = """
const table = document.querySelector("main table");
const rows = () => [...table.tBodies].filter((body) => !body.hidden).map((body) => body.rows[0]);
const column = (number) => rows().map((row) => row.cells[number].textContent);
const sort = (number) => table.tHead.rows[0].cells[number].querySelector("button").click();
const shown = (element) => element.getClientRects().length > 0;
const tools = table.parentElement.previousElementSibling;
const filter = (text) => {
  const input = tools.querySelector("input[type=search]");
  input.value = text;
  input.dispatchEvent(new Event("input"));
};
"""


@pytest.fixture
def page(tmp_path: Path) -> Path:
    file = tmp_path / "report.html"
    file.write_text(to_html(DOCUMENT), encoding="utf-8")
    return file


def run(page: Path, script: str, **options: Any) -> Any:
    return run_in_page(page, TOOLS + script, **options)


def test_columns_sort_up_down_and_back(page: Path) -> None:
    found = run(
        page,
        """
        const orders = [];
        for (const number of [1, 1, 1, 2, 3, 0]) { sort(number); orders.push(column(0)); }
        return { orders, sorts: [...table.tHead.rows[0].cells].map((head) => head.ariaSort) };
        """,
    )
    up, down, back, parameters, p, cell = found["orders"]
    lstm, gru, srn, mgu, hostile = (row[0] for row in ROWS)
    assert up == [mgu, hostile, lstm, gru, srn]
    # A row without a value is the last one in both directions.
    assert down == [gru, lstm, hostile, mgu, srn]
    assert back == [lstm, gru, srn, mgu, hostile]
    assert parameters == [hostile, srn, gru, lstm, mgu]
    assert p == [lstm, gru, mgu, hostile, srn]
    assert cell == [hostile, gru, lstm, mgu, srn]
    assert found["sorts"] == ["ascending", "none", "none", "none"]


def test_seeds_stay_with_their_setting_and_are_shown_on_demand(page: Path) -> None:
    script = """
    const seeds = [...document.querySelectorAll(".seed")];
    const before = seeds.map(shown);
    document.getElementById("show-seeds").click();
    sort(0);
    const body = table.tBodies[2];
    return { before, after: seeds.map(shown), body: [...body.rows].map((row) => row.cells[0].textContent) };
    """
    found = run(page, script)
    assert found["before"] == [False, False, False]
    assert found["after"] == [True, True, True]
    assert found["body"] == ["lstm", "seed 1", "seed 2"]


def test_rows_are_filtered_by_words(page: Path) -> None:
    found = run(
        page,
        """
        const of = (text) => { filter(text); return [column(0), tools.querySelector("output").value]; };
        return ["LSTM", "98 12,000", "99 -lstm", "-1.00", "nothing", ""].map(of);
        """,
    )
    assert [len(rows) for rows, _ in found] == [1, 1, 1, 1, 0, 5]
    assert [count for _, count in found] == [*("1 of 5 rows",) * 4, "0 of 5 rows", ""]
    assert [found[0][0], found[2][0], found[3][0]] == [["lstm"], ["gru"], ["mgu"]]


def test_columns_hide(page: Path) -> None:
    found = run(
        page,
        """
        document.getElementById("show-seeds").click();
        const boxes = [...tools.querySelectorAll(".columns input")];
        const widths = () => [...table.rows].map((row) => [...row.cells].filter(shown).length);
        boxes[2].click();
        const hidden = widths();
        boxes[2].click();
        return { hidden, again: widths(), names: boxes.map((box) => box.parentElement.textContent.trim()) };
        """,
    )
    assert set(found["hidden"]) == {3}
    assert set(found["again"]) == {4}
    assert found["names"] == ["cell", "accuracy, %", "parameters", "p"]


def test_points_show_their_runs_as_text(page: Path) -> None:
    found = run(
        page,
        """
        const tip = document.querySelector(".tip");
        const points = [...document.querySelectorAll("a.point")];
        const seen = points.slice(0, 2).map((point) => {
          point.dispatchEvent(new Event("mouseenter"));
          const box = tip.getBoundingClientRect();
          const inside = box.left >= 0 && box.top >= 0 && box.right <= innerWidth && box.bottom <= innerHeight;
          return { lines: [...tip.children].map((line) => line.textContent), inside, shown: shown(tip) };
        });
        points[1].dispatchEvent(new Event("mouseleave"));
        const image = document.querySelector("figure img").getBoundingClientRect();
        const spot = points[0].getBoundingClientRect();
        const across = (spot.left + spot.width / 2 - image.left) / image.width;
        const share = [across, (spot.top + spot.height / 2 - image.top) / image.height];
        return { seen, hidden: !shown(tip), share, images: document.images.length };
        """,
        width=500,
    )
    assert [each["inside"] and each["shown"] for each in found["seen"]] == [True, True]
    assert found["seen"][0]["lines"] == ["lstm: 98.90", "jobs/lstm", "rnnexp train model=lstm", "jobs/gru"]
    assert found["seen"][1]["lines"] == [HOSTILE, f"jobs/{HOSTILE}", f"rnnexp train model={HOSTILE}"]
    assert found["hidden"]
    assert found["share"] == pytest.approx([0.25, 0.5], abs=0.01)
    assert found["images"] == 1


def test_a_link_to_a_run_opens_the_list_of_runs(page: Path) -> None:
    script = """
    const list = document.getElementById("run-4").closest("details");
    const before = list.open;
    location.hash = "run-4";
    window.dispatchEvent(new Event("hashchange"));
    return [before, list.open];
    """
    assert run(page, script) == [False, True]


def test_a_second_click_on_a_point_shows_its_run_again(page: Path) -> None:
    script = """
    const point = document.querySelector("a.point");
    const row = document.getElementById("run-0");
    return [1, 2].map(() => {
      point.click();
      const before = shown(row);
      row.closest("tbody").hidden = true;
      row.closest("details").open = false;
      return before;
    });
    """
    assert run(page, script) == [True, True]


@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("width", [500, 1600])
def test_light_and_dark_wide_and_narrow(page: Path, width: int, dark: bool) -> None:
    script = """
    const shades = (name) => getComputedStyle(document.body)[name].match(/\\d+/g).slice(0, 3).map(Number);
    const light = (shade) => (0.2126 * shade[0] + 0.7152 * shade[1] + 0.0722 * shade[2]) / 255;
    const resources = performance.getEntriesByType("resource").map((entry) => entry.name);
    return { paper: light(shades("backgroundColor")), ink: light(shades("color")),
             wide: document.documentElement.scrollWidth, room: innerWidth,
             asked: resources.filter((name) => !name.startsWith("data:")) };
    """
    found = run(page, script, width=width, dark=dark)
    assert (found["paper"] < 0.2) == dark
    assert abs(found["paper"] - found["ink"]) > 0.6
    assert found["wide"] <= found["room"] == width
    assert found["asked"] == []


def test_the_page_is_readable_without_scripts(page: Path) -> None:
    script = """
    const seeds = () => [...table.querySelectorAll(".seed")].map(shown);
    const before = seeds();
    document.getElementById("show-seeds").click();
    document.querySelector("details.reference").open = true;
    return { rows: [...document.querySelectorAll("tbody tr:not(.seed)")].map(shown), before, after: seeds(),
             buttons: document.querySelectorAll("button, .tools").length,
             titles: [...document.querySelectorAll("a.point")].map((point) => point.title) };
    """
    found = run(page, script, scripts=False)
    assert found["rows"] == [True] * 10
    assert (found["before"], found["after"]) == ([False, False], [True, True])
    assert found["buttons"] == 0
    assert found["titles"] == [point.text for point in POINTS]


def test_the_report_of_real_runs(digits: Path, tmp_path: Path) -> None:
    assert report([str(digits), "--output", str(tmp_path)]) == 0
    script = """
    const points = [...document.querySelectorAll("a.point")];
    const known = points.every((point) => point.dataset.runs.split(" ").every((name) => document.getElementById(name)));
    const first = document.querySelector("main section");
    points[0].dispatchEvent(new Event("mouseenter"));
    return { known, seeds: first.querySelectorAll("a.seed").length, figures: first.querySelectorAll("figure").length,
             lead: first.querySelector("p").className, tip: document.querySelector(".tip").textContent };
    """
    found = run(tmp_path / "report.html", script)
    assert found["known"]
    assert (found["seeds"], found["figures"], found["lead"]) == (4, 1, "lead")
    assert "rnnexp train data.root=" in found["tip"]
    assert "jobs/" in found["tip"]
