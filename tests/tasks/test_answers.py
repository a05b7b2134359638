"""The tests between the answers of two runs, with values by hand, and files that hold no answers."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from scipy import stats

from rnnexp.core.errors import UserError
from rnnexp.tasks.answers import SampleTest, class_names, mcnemar, paired_t
from rnnexp.tasks.regression.answers import PredictedNumbers
from rnnexp.tasks.regression.answers import read as read_numbers
from rnnexp.tasks.tagging.answers import TaggedSteps
from rnnexp.tasks.tagging.answers import read as read_tags
from rnnexp.tracking.run_directory import RunDirectory


def right(*pattern: tuple[int, int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return the answers of a and b from triples (a right, b right, count)."""
    a = [bool(a) for a, _, number in pattern for _ in range(number)]
    b = [bool(b) for _, b, number in pattern for _ in range(number)]
    return np.array(a), np.array(b)


def test_mcnemar_counts_samples_that_only_one_has_right() -> None:
    test = mcnemar(*right((1, 1, 50), (0, 0, 9), (1, 0, 10), (0, 1, 2)))
    assert (test.alone_right, test.lead) == ((10, 2), 8)
    # Two tails of 12 fair coins with at most 2 heads.
    assert test.p == pytest.approx(2 * (1 + 12 + 66) / 2**12)


def test_mcnemar_without_disagreement() -> None:
    assert mcnemar(*right((1, 1, 5), (0, 0, 5))) == SampleTest(1.0, 0, (0, 0))


def test_the_t_test_over_samples_is_that_of_scipy() -> None:
    random = np.random.default_rng(0)
    a, b = random.normal(size=(2, 40))
    test = paired_t(a, b)
    assert test.p == pytest.approx(stats.ttest_rel(a, b).pvalue)
    assert (test.lead, test.alone_right) == (pytest.approx((a - b).mean()), None)


@pytest.mark.parametrize(
    ("a", "b", "expected"),
    [
        ([1.0], [0.5], SampleTest(None, reason="too few samples (1; at least 2)")),
        ([1.0, 2.0], [0.5, 1.5], SampleTest(None, 0.5, reason="the difference is the same for all samples")),
        ([1.0, 2.0], [1.0, 2.0], SampleTest(1.0)),
        ([1.0, np.nan], [1.0, 2.0], SampleTest(None, reason="an answer is no number")),
    ],
)
def test_a_t_test_that_cannot_be_done(a: list[float], b: list[float], expected: SampleTest) -> None:
    assert paired_t(np.array(a), np.array(b)) == expected


def recorded(place: Path, result: dict[str, Any] | None = None, **tensors: torch.Tensor) -> Any:
    """Return a run that has recorded these tensors of its test."""
    torch.save(tensors, place / "test_predictions.pt")
    return SimpleNamespace(files=RunDirectory(place), result=result or {})


STEPS = {"num_steps": torch.tensor([3, 0, 2])}


def test_the_answers_of_tagging_by_sequence(tmp_path: Path) -> None:
    labels, predicted = torch.tensor([0, 1, 1, 0, 1]), torch.tensor([0, 0, 0, 0, 1])
    result = {"answers": {"class_names": ["walk", "run"]}}
    answers = read_tags(recorded(tmp_path, result, labels=labels, predicted=predicted, **STEPS))
    assert answers.right.tolist() == [False, True, True]
    # The second sequence has no step with a class.
    assert answers.scores.tolist() == pytest.approx([1 / 3, 1])
    assert answers.value == pytest.approx(1 / 2)
    assert answers.show(0) == "2 wrong, first walk for run at step 2 of those with a class"
    assert (answers.show(2), answers.describe(2)) == ("all right", {"steps": "2"})
    other = TaggedSteps(answers.labels, answers.labels, answers.num_steps, answers.sample)
    assert answers.same_samples(other)
    assert not answers.same_samples(TaggedSteps(1 - answers.labels, answers.labels, answers.num_steps, answers.sample))


def test_the_answers_of_regression_by_sequence(tmp_path: Path) -> None:
    # The second number has ten times the deviation of the first, and ten times the errors.
    targets = torch.tensor([[0.0, 0], [2, 20], [0, 0], [2, 20], [1, 10]], dtype=torch.float64)
    errors = torch.tensor([1.0, 0, 2, 0, 0], dtype=torch.float64)[:, None] * torch.tensor([1.0, 10.0])
    answers = read_numbers(recorded(tmp_path, targets=targets, predicted=targets + errors, **STEPS))
    assert (answers.targets.tolist(), answers.predicted.tolist()) == (targets.tolist(), (targets + errors).tolist())
    variance = float(targets[:, 0].var(correction=0))
    assert answers.scores.tolist() == pytest.approx([-5 / 3 / variance, 0, 0])
    assert answers.value == pytest.approx((1 + 10) / 2)
    assert answers.same_samples(PredictedNumbers(answers.targets, answers.targets, answers.num_steps, answers.sample))
    assert not answers.same_samples(PredictedNumbers(answers.targets[:, :1], *(answers.targets,) * 3))


@pytest.mark.parametrize(
    ("read", "tensors", "message"),
    [
        (read_tags, {}, "cannot be read"),
        (read_tags, {"labels": torch.zeros(5), "predicted": torch.zeros(5)}, "does not hold a label"),
        (read_numbers, {"targets": torch.zeros(5, 1), "predicted": torch.zeros(5, 2)}, "does not hold the truth"),
        (read_numbers, {"targets": torch.zeros(4, 1), "predicted": torch.zeros(4, 1)}, "numbers of steps contradict"),
        (
            read_numbers,
            {"targets": torch.zeros(1, 1), "predicted": torch.zeros(1, 1), "num_steps": torch.tensor([2, -1])},
            "numbers of steps contradict",
        ),
        (
            read_numbers,
            {"targets": torch.zeros(1, 1), "predicted": torch.zeros(1, 1), "num_steps": torch.ones(1)},
            "does not hold the number of steps",
        ),
    ],
)
def test_files_without_answers(tmp_path: Path, read: Any, tensors: dict[str, torch.Tensor], message: str) -> None:
    with pytest.raises(UserError, match=message):
        read(recorded(tmp_path, **{**STEPS, **tensors}))


@pytest.mark.parametrize("answers", [None, {}, {"class_names": None}, {"class_names": "ab"}])
def test_without_a_list_classes_have_no_names(tmp_path: Path, answers: object) -> None:
    assert class_names(recorded(tmp_path, {"answers": answers})) == {}
