"""The figures of sequences, with texts of any kind and with few or many samples."""

import numpy as np
import pytest
from matplotlib.figure import Figure

from rnnexp.plots.sequences import MOST_FEATURES, MOST_TARGETS, Example, curves, predictions_and_residuals
from rnnexp.plots.style import encode_figure

INPUTS = np.linspace(0, 1, 30, dtype=np.float32).reshape(10, 3)


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        (None, ["feature 0", "feature 1", "feature 2"]),
        (["_x", "$y$", "z" * 200], ["_x", "$y$", "\n".join([*["z" * 34] * 5, "z" * 30])]),
    ],
)
def test_features_are_named(names: list[str] | None, shown: list[str]) -> None:
    figure = curves([Example("one", INPUTS), Example("two", INPUTS)], "run", names)
    assert legend_of(figure) == shown
    assert encode_figure(figure, "svg")
    colors = [handle.get_color() for handle in figure.legends[0].get_lines()]
    assert colors == [line.get_color() for line in figure.axes[1].lines]
    assert len(set(colors)) == 3


def test_only_the_features_that_are_named_are_drawn() -> None:
    figure = curves([Example("with indicators", INPUTS), Example("b", INPUTS)], "run", ["speed", "weight"])
    assert legend_of(figure) == ["speed", "weight"]
    assert [len(axes.lines) for axes in figure.axes] == [2, 2]


def test_a_single_feature_has_no_legend() -> None:
    assert legend_of(curves([Example("one", INPUTS[:, :1])], "run", ["pressure"])) == []


def test_wrong_steps_are_shaded() -> None:
    wrong = np.zeros(10, dtype=bool)
    wrong[[2, 7]] = True
    (axes,) = curves([Example("one", INPUTS, wrong)], "run").axes
    assert [patch.get_x() + 0.5 for patch in axes.patches] == [3, 8]  # type: ignore[attr-defined]
    assert len(axes.lines) == 3


def test_a_number_at_each_step_is_drawn_over_the_inputs_on_a_scale_of_its_own() -> None:
    truth, guess = 300 + np.arange(10.0), 301 + np.arange(10.0)
    figure = curves([Example("one", INPUTS, None, truth, guess)] * 3, "run")
    panels, numbers = figure.axes[:4], figure.axes[4:]
    assert [axes.axison for axes in panels] == [True] * 3 + [False]
    assert [len(axes.lines) for axes in panels] == [3, 3, 3, 0]
    for axes in numbers:
        assert [line.get_ydata().tolist() for line in axes.lines] == [truth.tolist(), guess.tolist()]
        assert axes.get_ylim()[0] > 299, "the inputs, which are about 0, do not hide the differences"
    assert legend_of(figure) == ["features", "truth", "predicted"]
    colors = [line.get_color() for line in (panels[0].lines[0], *numbers[0].lines)]
    assert [handle.get_color() for handle in figure.legends[0].get_lines()] == colors


@pytest.mark.parametrize("text", ["$\\frac{1$", "a\x1b[31m\udce4", "x" * 3000, ""])
def test_captions_of_any_kind(text: str) -> None:
    assert encode_figure(curves([Example(text, INPUTS)] * 3, text), "svg")
    numbers = np.ones((4, 1))
    assert encode_figure(predictions_and_residuals(numbers, numbers, [text], text), "svg")


def test_only_the_first_features_and_targets_are_drawn() -> None:
    (axes,) = curves([Example("wide", np.ones((5, 100), dtype=np.float32))], "run").axes
    assert len(axes.lines) == MOST_FEATURES
    numbers = np.random.default_rng(0).normal(size=(50, 9))
    assert len(predictions_and_residuals(numbers, numbers, list("abcdefghi"), "run").axes) == 2 * MOST_TARGETS


@pytest.mark.parametrize("number", [1, 20_000])
def test_residuals_are_predicted_minus_truth(number: int) -> None:
    truth = np.random.default_rng(0).normal(size=(number, 1))
    _scatter, histogram = predictions_and_residuals(truth, truth + 0.5, ["y"], "run").axes
    assert "mean 0.5," in histogram.get_title()
    assert sum(bar.get_height() for bar in histogram.patches) == number  # type: ignore[attr-defined]


def test_the_deviation_of_residuals_is_that_of_predicted_minus_truth() -> None:
    truth = np.array([[10.0], [20.0], [30.0], [40.0]])
    residuals = np.array([[-1.0], [3.0], [-1.0], [3.0]])
    _scatter, histogram = predictions_and_residuals(truth, truth + residuals, ["y"], "run").axes
    assert histogram.get_title() == "mean 1, standard deviation 2"
