"""An attention map as text: the shade of each weight is below its token, and no line exceeds the terminal."""

import numpy as np
import pytest
from numpy.typing import NDArray
from rich.cells import cell_len

from rnnexp.plots.terminal import SHADES, attention_text

ODD = [
    "",
    " ",
    "\n",
    "\t\0",
    "中文",
    "\U0001f600",
    "e\u0301",
    "\u0301",
    "\ud800",
    "\u200b",
    "\u2581a",
    "がんばる",
    "\u2764\ufe0f",
]


def distributions(rows: int, columns: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).dirichlet(np.full(columns, 0.3), size=rows)


def framed(text: str) -> list[str]:
    return [line for line in text.splitlines() if "│" in line]


def test_a_map_that_fits() -> None:
    weights = np.array([[0.96, 0.04, 0.0], [0.3, 0.6, 0.1]])
    assert attention_text(["the", " ox", "."], ["le", " bœuf"], weights).splitlines() == [
        "       t ·",
        "       h o",
        "       e x .",
        "le    │██    │",
        "·bœuf │▒▒▓▓░░│",
        "░ from 5 %  ▒ 25 %  ▓ 50 %  █ 75 %",
    ]


@pytest.mark.parametrize(
    ("weight", "shade"),
    [
        (0, " "),
        (0.049, " "),
        (0.05, "░"),
        (0.25, "▒"),
        (0.5, "▓"),
        (0.74, "▓"),
        (0.75, "█"),
        (1, "█"),
        (1.0000001, "█"),
    ],
)
def test_shades_of_weights(weight: float, shade: str) -> None:
    assert framed(attention_text(["a"], ["b"], np.array([[weight]]))) == [f"b │{shade}{shade}│"]


def test_tokens_whose_names_do_not_fit_are_numbered() -> None:
    weights = np.zeros((2, 40))
    weights[0, 11], weights[1, 39] = 1, 1
    text = attention_text([f"word{place}" for place in range(40)], ["a", "b"], weights)
    tens, ones, first, second, *below = text.splitlines()
    column = first.index("█")
    assert (tens[column], ones[column]) == ("1", "2")
    column = second.index("█")
    assert (tens[column], ones[column]) == ("4", "0")
    legend = "  ".join(below).split("  ")
    assert [entry for entry in legend if "word" in entry] == [f"{place + 1} word{place}" for place in range(40)]


def test_too_many_source_tokens_are_listed_by_weight() -> None:
    weights = np.full((2, 100), 0.001)
    weights[0, [7, 50, 99]] = 0.5, 0.1, 0.3
    weights[1, 0] = 0.9
    first, second = attention_text([f"w{place}" for place in range(100)], ["ab", "c"], weights).splitlines()
    assert first == "ab ← 8:w7 50 %  100:w99 30 %  51:w50 10 %"
    assert second.startswith("c  ← 1:w0 90 %  ")


@pytest.mark.parametrize("width", [20, 33, 80, 200])
@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 8), (60, 60), (5, 34), (40, 1), (2, 180)])
def test_rows_are_aligned_and_no_line_is_wider_than_the_terminal(rows: int, columns: int, width: int) -> None:
    source, target = [*ODD, "internationalisation"] * 20, ["incontestablementincontestable", *ODD] * 20
    weights = distributions(rows, columns)
    text = attention_text(source[:columns], target[:rows], weights, width)
    assert "\x1b" not in text
    lines = text.splitlines()
    assert max(map(cell_len, lines)) <= width
    if grid := framed(text):
        assert len(grid) == rows
        assert len({cell_len(line) for line in grid}) == 1
        assert len({cell_len(line[: line.index("│")]) for line in grid}) == 1
        blocks = np.array([list(line.split("│")[1]) for line in grid])
        size = blocks.shape[1] // columns
        shown = np.vectorize(SHADES.index)(blocks).reshape(rows, columns, size)
        assert (shown == shown[:, :, :1]).all()
        order = np.argsort(weights, axis=None)
        assert (np.diff(shown[:, :, 0].reshape(-1)[order]) >= 0).all()
    else:
        assert len(lines) == rows
        assert all(" ← " in line and " %" in line for line in lines)


def test_wide_source_tokens_are_above_their_columns() -> None:
    text = attention_text(["我", "喜欢", "x"], ["je", "中文"], np.array([[1.0, 0, 0], [0, 1, 0]]))
    assert text.splitlines()[:4] == ["        喜", "      我欢x", "je   │██    │", "中文 │  ██  │"]


@pytest.mark.parametrize(
    ("text", "columns"), [("abc", 3), ("中文", 4), ("e\u0301", 1), ("Ａ", 2), ("ｶ", 1), ("", 0), ("█·…", 3)]
)
def test_columns_of_a_terminal(text: str, columns: int) -> None:
    assert cell_len(text) == columns


def test_odd_tokens_can_be_printed() -> None:
    text = attention_text(ODD, ODD, distributions(len(ODD), len(ODD)))
    assert len(framed(text)) == len(ODD)
    text.encode("utf-8")
    assert all(line.isprintable() for line in text.split("\n"))


@pytest.mark.parametrize(
    ("source", "target", "weights", "width", "message"),
    [
        ([], ["a"], np.zeros((1, 0)), 80, "0 of source and 1 of target"),
        (["a"], [], np.zeros((0, 1)), 80, "1 of source and 0 of target"),
        (["a", "b"], ["c"], np.zeros((2, 1)), 80, r"\[target, source\] = \(1, 2\), not \(2, 1\)"),
        (["a"], ["b"], np.full((1, 1), np.inf), 80, "finite"),
        (["a"], ["b"], np.ones((1, 1)), 19, "at least 20 columns, not 19"),
    ],
)
def test_a_bad_map_is_refused(
    source: list[str], target: list[str], weights: NDArray[np.float64], width: int, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        attention_text(source, target, weights, width)
