"""The figures of a classification run with few classes, with many, and with names of any kind."""

import numpy as np
import pytest

from rnnexp.plots.classification import class_scores, confident_mistakes, confusion_matrix
from rnnexp.plots.style import encode_figure


def answers(num_classes: int, number: int = 50_000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.integers(0, num_classes, number), random.integers(0, num_classes, number)


def names_of(num_classes: int) -> list[str]:
    return list(map(str, range(num_classes)))


def test_few_classes_have_counts() -> None:
    labels, predicted = answers(10, 200)
    (axes,) = confusion_matrix(labels, predicted, range(10), names_of(10), "run").axes
    counts = {(int(text.get_position()[1]), int(text.get_position()[0])): int(text.get_text()) for text in axes.texts}
    assert sum(counts.values()) == 200
    assert counts[3, 4] == int(((labels == 3) & (predicted == 4)).sum())


@pytest.mark.parametrize("num_classes", [33, 256, 1000])
def test_the_time_to_draw_does_not_grow_with_the_classes(num_classes: int) -> None:
    figure = confusion_matrix(*answers(num_classes), range(num_classes), names_of(num_classes), "run")
    assert len(encode_figure(figure, "png")) > 10_000
    assert max(figure.get_size_inches()) < 17
    # A text for each cell, or a tick for each class, takes minutes.
    assert len(figure.findobj()) < 1000
    assert not figure.axes[0].texts


def test_the_wrong_answers_with_the_greatest_confidence_are_shown_first() -> None:
    labels, predicted = np.array([3, 1, 2, 0, 5]), np.array([3, 7, 2, 4, 6])
    confidence = np.array([0.99, 0.5, 0.2, 0.9, 0.7], dtype=np.float32)
    images = np.arange(5, dtype=np.uint8)[:, None, None] * np.ones((1, 4, 4), dtype=np.uint8)
    figure = confident_mistakes(images, labels, predicted, confidence, "run")
    shown = [axes for axes in figure.axes if axes.images]
    assert [axes.get_title() for axes in shown] == ["0 as 4, 90 %", "5 as 6, 70 %", "1 as 7, 50 %"]
    assert [int(axes.images[0].get_array()[0, 0]) for axes in shown] == [3, 4, 1]  # type: ignore[index]


@pytest.mark.parametrize("title", ["$\\frac{1$", "$_{", "a\x1b[31m\udce4", "x" * 3000, "_hidden", "漢字"])
def test_titles_of_any_kind(title: str) -> None:
    labels, predicted = answers(3, 40)
    images, confidence = np.zeros((40, 4, 4), dtype=np.uint8), np.ones(40, dtype=np.float32)
    for figure in (
        confusion_matrix(labels, predicted, range(3), [title, "b", ""], title),
        class_scores(labels, predicted, range(3), [title, "b", ""], title),
        confident_mistakes(images, labels, predicted, confidence, title),
    ):
        assert encode_figure(figure, "svg")


def test_bars_show_the_scores_of_each_class_the_worst_first() -> None:
    labels, predicted = np.array([3, 3, 3, 5, 5, 7]), np.array([3, 3, 5, 5, 5, 3])
    panels = class_scores(labels, predicted, [3, 5, 7], ["three", "five", "seven"], "run").axes
    assert [label.get_text() for label in panels[0].get_yticklabels()] == ["seven (1)", "three (3)", "five (2)"]
    widths = {axes.get_title(): [bar.get_width() for bar in axes.patches] for axes in panels}  # type: ignore[attr-defined]
    assert widths["recall"] == pytest.approx([0, 2 / 3, 1])
    assert widths["precision"] == pytest.approx([0, 2 / 3, 2 / 3])
    assert widths["F1"] == pytest.approx([0, 2 / 3, 4 / 5])


def test_classes_that_neither_occur_nor_are_predicted_have_no_bars() -> None:
    labels, predicted = np.array([3, 3, 90]), np.array([3, 5, 90])
    figure = class_scores(labels, predicted, range(100), [f"class {number}" for number in range(100)], "run")
    shown = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    assert shown == ["class 5 (0)", "class 3 (2)", "class 90 (1)"]
    assert "worst" not in figure.get_suptitle()
    widths = {axes.get_title(): [bar.get_width() for bar in axes.patches] for axes in figure.axes}  # type: ignore[attr-defined]
    assert widths["recall"] == pytest.approx([0, 1 / 2, 1])
    assert len(encode_figure(figure, "png")) > 5_000


def test_the_worst_of_many_classes_have_bars() -> None:
    figure = class_scores(*answers(500), range(500), names_of(500), "run")
    assert len(figure.axes[0].patches) == 32
    assert len(encode_figure(figure, "png")) > 10_000
