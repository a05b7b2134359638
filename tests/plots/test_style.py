"""The style of figures: text that the font can show, distinct series, files that do not change."""

from pathlib import Path

import pytest

from rnnexp.plots.style import (
    COLORS,
    MARKERS,
    encode_figure,
    legend_inches,
    line_style,
    new_figure,
    save_figure,
    wrapped,
)


def test_names_are_wrapped_and_never_empty() -> None:
    assert wrapped("lstm, bidirectional, 2 layers", 20) == "lstm, bidirectional,\n2 layers"
    assert wrapped("", 20) == " "


def test_many_series_differ_in_color_or_marker() -> None:
    number = len(COLORS) * len(MARKERS)
    assert len({tuple(line_style(place).values()) for place in range(number)}) == number


def test_a_legend_grows_with_its_names() -> None:
    wide, high = legend_inches(["gru"])
    wider, higher = legend_inches(["gru", "lstm, bidirectional"])
    assert wider > wide
    assert higher > high


@pytest.mark.parametrize(("name", "start"), [("a.png", b"\x89PNG"), ("a.svg", b"<?xml")])
def test_a_figure_is_saved_in_the_format_of_its_name(tmp_path: Path, name: str, start: bytes) -> None:
    figure = new_figure(1, 1)
    file = tmp_path / "new" / name
    save_figure(figure, file)
    assert file.read_bytes().startswith(start)
    assert file.read_bytes() == encode_figure(figure, file.suffix[1:])
