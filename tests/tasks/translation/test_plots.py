"""Figures of translation networks show the numbers, for any token and any size."""

import io
import math
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from matplotlib.text import Text
from numpy.typing import NDArray

from rnnexp.plots.style import drawable
from rnnexp.tasks.translation.plots import (
    accuracy_by_distance,
    accuracy_grid,
    attention_map,
    scores_by_length,
    token_label,
    wilson_interval,
)

ODD = [
    "",
    " ",
    "·",
    "$x^2$",
    "_under",
    "\n",
    "\t\0",
    "中文",
    "\U0001f600",
    "a\u0301",
    "\ud800",
    "\u200b",
    "שלום",
    "{%s}\\",
]


def drawn(figure: Figure) -> Figure:
    """Return the figure after a draw; the suite turns warnings of matplotlib into errors."""
    with io.BytesIO() as file:
        figure.savefig(file, format="png")
        assert file.getvalue().startswith(b"\x89PNG")
    return figure


def distributions(rows: int, columns: int) -> NDArray[np.float64]:
    return np.random.default_rng(0).dirichlet(np.full(columns, 0.3), size=rows)


def x_labels(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_xticklabels()]


def y_labels(axes: Axes) -> list[str]:
    return [label.get_text() for label in axes.get_yticklabels()]


def assert_inside(figure: Figure) -> None:
    """Assert that no text is cut by the edge of the figure."""
    page = figure.bbox
    for text in figure.findobj(Text):
        assert isinstance(text, Text)
        if text.get_text() and text.get_visible():
            box = text.get_window_extent()
            inside = box.x0 > -1 and box.y0 > -1 and box.x1 < page.x1 + 1 and box.y1 < page.y1 + 1
            assert inside, f"{text.get_text()!r} at {box} leaves {page}"


def test_an_attention_map_shows_the_weights_between_their_tokens() -> None:
    weights = distributions(3, 4)
    figure = drawn(attention_map(["the", " cat", "s", "."], ["le", " chat", "."], weights, "a title"))
    axes, bar = figure.axes
    (image,) = axes.images
    np.testing.assert_array_equal(image.get_array(), weights)
    assert image.get_clim() == (0, 1)
    assert image.cmap(0.0) == (1, 1, 1, 1)
    assert bar.get_ylim() == (0, 1)
    assert x_labels(axes) == ["the", "·cat", "s", "."]
    assert y_labels(axes) == ["le", "·chat", "."]
    assert (axes.get_xlabel(), axes.get_ylabel()) == ("source", "target")
    # The first target token is the top row, and the source is above the map.
    assert axes.get_ylim()[0] > axes.get_ylim()[1]
    assert axes.xaxis.get_ticks_position() == "top"
    assert figure.get_suptitle() == "a title"


def test_the_colors_of_a_map_darken_from_0_to_1() -> None:
    figure = attention_map(["a"], ["b"], np.ones((1, 1)), "")
    lightness = figure.axes[0].images[0].cmap(np.linspace(0, 1, 21))[:, :3] @ [0.2126, 0.7152, 0.0722]
    assert (np.diff(lightness) < 0).all()


@pytest.mark.parametrize(("rows", "columns"), [(1, 1), (3, 3), (1, 60), (60, 1), (30, 34), (60, 60), (9, 150)])
def test_tokens_of_a_map_do_not_overlap_and_are_not_cut(rows: int, columns: int) -> None:
    source = [f" internationalisation{place}" if place % 7 == 0 else f" w{place}" for place in range(columns)]
    target = [f" incontestablement{place}" if place % 5 == 0 else f" m{place}" for place in range(rows)]
    title = "a title that is much longer than a map of one token is wide, so that it takes several lines"
    figure = drawn(attention_map(source, target, distributions(rows, columns), title))
    assert max(figure.get_size_inches()) < 18
    assert_inside(figure)
    axes = figure.axes[0]
    across = [label.get_window_extent() for label in axes.get_xticklabels()]
    down = [label.get_window_extent() for label in axes.get_yticklabels()]
    assert all(left.x1 < right.x0 for left, right in pairwise(across))
    assert all(upper.y0 > lower.y1 for upper, lower in pairwise(down))
    if columns <= 60:
        assert float(axes.get_xticklabels()[0].get_fontsize()) >= 8


@pytest.mark.parametrize("size", [1, len(ODD), 60])
def test_odd_characters_are_drawn_without_a_warning(size: int) -> None:
    tokens = (ODD * 5)[:size]
    figure = drawn(attention_map(tokens, tokens[::-1], distributions(size, size), "$中_\n文"))
    assert len(x_labels(figure.axes[0])) == size


def test_odd_names_are_drawn_without_a_warning() -> None:
    for token in ODD:
        drawn(attention_map([token], [token], np.ones((1, 1)), token))
        drawn(accuracy_by_distance({token: {1: (0.5, 2)}, token + "b": {2: (0.5, 2)}}, token))
        drawn(accuracy_by_distance({token: {1: (0.5, 2)}}, token))
        drawn(accuracy_grid({(token, 1): (0.5, 2)}, token))
        drawn(scores_by_length({token: (0.5, 2)}, token))


def test_a_font_draws_only_its_own_characters() -> None:
    assert drawable("été, cœur, Ġ, Ελλάδα, мир") == "été, cœur, Ġ, Ελλάδα, мир"
    assert drawable("中a文") == "▯a▯"
    assert drawable("e\u0301") == "é"
    assert drawable("\0\n") == "▯⏎"


def test_a_token_shows_its_spaces_and_is_cut() -> None:
    assert token_label(" the") == token_label("\u2581the") == "·the"
    assert token_label("a" * 18) == "a" * 18
    assert token_label("a" * 19) == "a" * 17 + "…"


@pytest.mark.parametrize(
    ("source", "target", "weights", "message"),
    [
        ([], ["a"], np.zeros((1, 0)), "0 of source and 1 of target"),
        (["a"], [], np.zeros((0, 1)), "1 of source and 0 of target"),
        (["a", "b"], ["c"], np.zeros((2, 1)), r"\[target, source\] = \(1, 2\), not \(2, 1\)"),
        (["a"], ["b"], np.full((1, 1), np.nan), "finite"),
    ],
)
def test_a_bad_map_is_refused(source: list[str], target: list[str], weights: NDArray[np.float64], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        attention_map(source, target, weights, "")


def test_wilson_intervals_agree_with_published_ones() -> None:
    # Newcombe (1998), table I, method 3: 81 of 263, 15 of 148, 0 of 20.
    for right, n, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0, 0.1611)):
        assert wilson_interval(right / n, n) == pytest.approx((low, high), abs=5e-5)
    assert wilson_interval(1.0, 1)[1] == 1


def test_each_label_has_a_line_with_points_and_a_distinct_style() -> None:
    curves = {f"_phenomenon {place}": {3: (0.5, 9), 0: (1.0, 9), 12: (place / 13, 9)} for place in range(13)}
    figure = drawn(accuracy_by_distance(curves, "title"))
    (axes,) = figure.axes
    assert len(axes.lines) == 13
    for line, curve in zip(axes.lines, curves.values(), strict=True):
        np.testing.assert_array_equal(line.get_xdata(), [0, 3, 12])
        np.testing.assert_array_equal(line.get_ydata(), [curve[0][0], curve[3][0], curve[12][0]])
    looks = {(line.get_color(), line.get_linestyle()) for line in axes.lines}
    assert len(looks) == len({line.get_marker() for line in axes.lines}) == 13
    (legend,) = figure.legends
    assert [text.get_text() for text in legend.get_texts()] == list(curves)
    # Beside the lines, not over them.
    assert legend.get_window_extent().x0 >= axes.get_window_extent().x1
    assert_inside(figure)
    assert axes.get_ylim() == (0, 1)
    assert axes.get_xlabel() == "distance, words"
    assert axes.yaxis.get_major_formatter()(0.5) == "50 %"


def test_a_single_label_has_a_band_of_wilson_intervals() -> None:
    figure = drawn(accuracy_by_distance({"number": {1: (0.9, 50), 2: (0.8, 20)}}, "title"))
    (axes,) = figure.axes
    (band,) = axes.collections
    corners = np.concatenate([path.vertices for path in band.get_paths()])
    for distance, interval in ((1, wilson_interval(0.9, 50)), (2, wilson_interval(0.8, 20))):
        heights = corners[corners[:, 0] == distance, 1]
        assert (heights.min(), heights.max()) == pytest.approx(interval)
    assert not figure.legends
    assert "number" in axes.get_ylabel()


@pytest.mark.parametrize(("labels", "n", "bands"), [(1, 0, 0), (3, 5, 3), (4, 5, 0)])
def test_bands_are_drawn_only_where_they_are_visible(labels: int, n: int, bands: int) -> None:
    figure = accuracy_by_distance({str(label): {1: (0.5, n), 2: (0.5, n)} for label in range(labels)}, "")
    assert len(figure.axes[0].collections) == bands


def test_points_without_samples_are_omitted_from_a_line() -> None:
    curves = {"a": {1: (0.5, 4), 2: (math.nan, 0), 3: (1.0, 4)}, "b": {1: (math.nan, 0)}, "c": {}}
    figure = drawn(accuracy_by_distance(curves, ""))
    first, second, third = figure.axes[0].lines
    np.testing.assert_array_equal(first.get_xdata(), [1, 3])
    assert np.isfinite(np.asarray(first.get_ydata(), dtype=float)).all()
    assert np.size(second.get_xdata()) == np.size(third.get_xdata()) == 0
    assert len(figure.legends[0].get_texts()) == 3


def test_an_accuracy_grid_shows_percentages_and_blank_cells() -> None:
    cells = {
        ("number", 3): (0.876, 8),
        ("gender", 0): (1.0, 5),
        ("number", 0): (0.999, 900),
        ("gender", 12): (math.nan, 0),
        ("tense", 3): (0.0, 4),
        ("tense", 0): (0.001, 900),
    }
    figure = drawn(accuracy_grid(cells, "title"))
    axes = figure.axes[0]
    assert y_labels(axes) == ["number", "gender", "tense"]
    assert x_labels(axes) == ["0", "3", "12"]
    written = {(int(text.get_position()[1]), int(text.get_position()[0])): text.get_text() for text in axes.texts}
    assert written == {(0, 0): ">99", (0, 1): "88", (1, 0): "100", (2, 0): "<1", (2, 1): "0"}
    data: np.ma.MaskedArray[Any, Any] = np.ma.asarray(axes.images[0].get_array())
    np.testing.assert_array_equal(np.ma.getmaskarray(data), [[0, 0, 1], [0, 1, 1], [0, 0, 1]])
    assert data[0, 1] == 0.876
    assert axes.images[0].get_clim() == (0, 1)


def test_a_large_grid_keeps_its_text_inside_its_cells() -> None:
    cells = {(f"phenomenon_{row}", column): (0.9991, 9) for row in range(12) for column in range(13)}
    figure = drawn(accuracy_grid(cells, "title"))
    assert_inside(figure)
    axes = figure.axes[0]
    cell = axes.get_window_extent().width / 13, axes.get_window_extent().height / 12
    for text in axes.texts:
        box = text.get_window_extent()
        assert box.width < cell[0]
        assert box.height < cell[1]


def test_bars_by_length_show_their_counts() -> None:
    buckets = {"1-5": (1.0, 1200), "6-10": (0.5, 10), "11-15": (0.25, 0), "16+": (math.nan, 0)}
    figure = drawn(scores_by_length(buckets, "title"))
    (axes,) = figure.axes
    bars = list(axes.patches)
    assert [bar.get_height() for bar in bars if isinstance(bar, Rectangle)] == [1, 0.5, 0.25, 0]
    assert x_labels(axes) == list(buckets)
    assert [text.get_text() for text in axes.texts] == ["n = 1,200", "n = 10", "n = 0", "n = 0"]
    boxes = [text.get_window_extent() for text in axes.texts]
    assert all(left.x1 < right.x0 for left, right in pairwise(boxes))
    # Above the bars and their intervals.
    tops = [axes.transData.transform((0, top))[1] for top in (1, wilson_interval(0.5, 10)[1], 0.25, 0)]
    assert all(box.y0 >= top for box, top in zip(boxes, tops, strict=True))
    assert_inside(figure)


@pytest.mark.parametrize(
    "draw",
    [
        lambda share, n: accuracy_by_distance({"number": {4: (share, n)}}, ""),
        lambda share, n: accuracy_grid({("number", 4): (share, n)}, ""),
        lambda share, n: scores_by_length({"number": (share, n)}, ""),
    ],
    ids=["curves", "grid", "bars"],
)
def test_shares_are_within_0_and_1(draw: Callable[[float, int], Figure]) -> None:
    with pytest.raises(ValueError, match=r"number.* within 0..1, not 87.5"):
        draw(87.5, 3)
    with pytest.raises(ValueError, match=r"number.* n must not be negative, but is -1"):
        draw(0.5, -1)
    # A mean in float32.
    for share in (1.0000001, -0.0000001, 0.0, 1.0):
        drawn(draw(share, 3))


@pytest.mark.parametrize("draw", [accuracy_by_distance, accuracy_grid, scores_by_length])
def test_empty_input_is_refused(draw: Callable[[dict[object, object], str], Figure]) -> None:
    with pytest.raises(ValueError, match="at least one"):
        draw({}, "title")
