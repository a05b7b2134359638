"""The answers of a classification run: a class for each sample."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rnnexp.core.errors import UserError
from rnnexp.tasks.answers import Answers, GradedAnswers, RecordedRun, class_names, read_test_outputs, require_columns


@dataclass(frozen=True)
class PredictedClasses(GradedAnswers):
    """Predicted classes.

    Args:
        labels: int64 [samples], the classes.
        predicted: int64 [samples].
        confidence: float32 [samples], the probability of the predicted class.
        names: class -> name; a class without a name is shown as its number.
    """

    metric = "test/acc"
    combination = "vote, each for its class with the confidence in it as weight"
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    confidence: NDArray[np.float32]
    names: dict[int, str] = field(default_factory=dict)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each prediction is the label, bool [samples]."""
        return np.equal(self.labels, self.predicted)

    def same_samples(self, other: Answers) -> bool:
        """Whether both have the same labels."""
        return isinstance(other, PredictedClasses) and np.array_equal(self.labels, other.labels)

    def combined(self, others: Sequence[Self]) -> Self:
        """Return the classes for which most runs vote, each with its confidence as weight.

        Runs record the probability of the predicted class alone, so the average of all probabilities is not known.
        """
        members = [self, *others]
        classes, columns = np.unique([member.predicted for member in members], return_inverse=True)
        votes = np.zeros((len(self.labels), len(classes)), np.float32)
        for member, column in zip(members, columns.reshape(len(members), -1), strict=True):
            votes[np.arange(len(votes)), column] += member.confidence
        return replace(self, predicted=classes[votes.argmax(axis=1)], confidence=votes.max(axis=1) / len(members))

    def describe(self, sample: int) -> dict[str, str]:
        """Return the label."""
        return {"label": self._name(self.labels[sample])}

    def show(self, sample: int) -> str:
        """Return the predicted class."""
        return self._name(self.predicted[sample])

    def _name(self, label: np.int64) -> str:
        return self.names.get(int(label), str(label))


def read(run: RecordedRun) -> PredictedClasses:
    """Return the classes in test_predictions.pt.

    Raises:
        UserError: if the file is missing or cannot be read.
    """
    labels, predicted, confidence = read_test_outputs(run, "labels", "predicted", "confidence")
    require_columns(run, "a label and a prediction for each sample", (labels, predicted), 1, "i")
    require_columns(run, "a confidence for each sample", (confidence,), 1, "f")
    if confidence.shape != labels.shape:
        raise UserError(f"{run.files.predictions_file} does not hold a confidence for each sample")
    return PredictedClasses(labels, predicted, confidence, class_names(run))
