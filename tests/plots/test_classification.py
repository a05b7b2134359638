"""The figures of a classification run with few classes, with many, and with names of any kind."""

import numpy as np
import pytest

from rnnexp.plots.classification import confident_mistakes, confusion_matrix
from rnnexp.plots.style import encode_figure


def answers(num_classes: int, number: int = 50_000) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    return random.integers(0, num_classes, number), random.integers(0, num_classes, number)


def test_few_classes_have_counts() -> None:
    labels, predicted = answers(10, 200)
    (axes,) = confusion_matrix(labels, predicted, range(10), "run").axes
    counts = {(int(text.get_position()[1]), int(text.get_position()[0])): int(text.get_text()) for text in axes.texts}
    assert sum(counts.values()) == 200
    assert counts[3, 4] == int(((labels == 3) & (predicted == 4)).sum())


@pytest.mark.parametrize("num_classes", [33, 256, 1000])
def test_the_time_to_draw_does_not_grow_with_the_classes(num_classes: int) -> None:
    figure = confusion_matrix(*answers(num_classes), range(num_classes), "run")
    assert len(encode_figure(figure, "png")) > 10_000
    assert max(figure.get_size_inches()) < 17
    # A text for each cell, or a tick for each class, takes minutes.
    assert len(figure.findobj()) < 1000
    assert not figure.axes[0].texts


@pytest.mark.parametrize("title", ["$\\frac{1$", "$_{", "a\x1b[31m\udce4", "x" * 3000, "_hidden", "漢字"])
def test_titles_of_any_kind(title: str) -> None:
    labels, predicted = answers(3, 40)
    images, confidence = np.zeros((40, 4, 4), dtype=np.uint8), np.ones(40, dtype=np.float32)
    for figure in (
        confusion_matrix(labels, predicted, range(3), title),
        confident_mistakes(images, labels, predicted, confidence, title),
    ):
        assert encode_figure(figure, "svg")
