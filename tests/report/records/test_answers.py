"""The answers of runs are checked against their results."""

from pathlib import Path

import pytest
import torch

from rnnexp.compat import torch_file
from rnnexp.core.errors import UserError
from rnnexp.report.records.answers import read_answers
from rnnexp.report.records.runs import Run
from rnnexp.tasks.registry import kind_of_target
from rnnexp.tracking.status import Status

TAGGING = kind_of_target("rnnexp.tasks.tagging.task.TaggingTask")


def tagged(place: Path, num_test_samples: int) -> Run:
    """Return a run of two sequences with three labelled steps and one without any."""
    steps = {"labels": torch.tensor([0, 1, 1]), "predicted": torch.tensor([0, 1, 0])}
    torch.save(steps | {"num_steps": torch.tensor([2, 0, 1])}, place / "test_predictions.pt")
    return Run(place, Status.DONE, result={"num_test_samples": num_test_samples, "metrics": {}})


def test_a_sequence_without_a_labelled_step_counts_as_a_sample(tmp_path: Path) -> None:
    run = tagged(tmp_path, 3)
    answers = read_answers(TAGGING, run)
    assert answers.right.tolist() == [True, True, False]
    assert answers.scores.tolist() == [1, 0]
    assert run.damage == []


def test_answers_to_another_number_of_samples_are_damage(tmp_path: Path) -> None:
    run = tagged(tmp_path, 2)
    with pytest.raises(UserError, match="has 3 answers, but its result is about 2 samples"):
        read_answers(TAGGING, run)
    assert "delete its result.json" in run.damage[0]


def test_a_file_that_is_too_large_is_not_called_damaged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run = tagged(tmp_path, 3)
    monkeypatch.setattr(torch_file, "MOST_BYTES", 10)
    with pytest.raises(UserError):
        read_answers(TAGGING, run)
    (damage,) = run.damage
    assert damage.endswith("bytes, and at most 10 are read")
