"""The answers of a classification run: a class for each sample."""

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from rnnexp.tasks.answers import Answers, GradedAnswers, RecordedRun, class_names, read_test_outputs, require_columns


@dataclass(frozen=True)
class PredictedClasses(GradedAnswers):
    """Predicted classes.

    Args:
        labels: int64 [samples], the classes.
        predicted: int64 [samples].
        names: class -> name; a class without a name is shown as its number.
    """

    metric = "test/acc"
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    names: dict[int, str] = field(default_factory=dict)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each prediction is the label, bool [samples]."""
        return np.equal(self.labels, self.predicted)

    def same_samples(self, other: Answers) -> bool:
        """Whether both have the same labels."""
        return isinstance(other, PredictedClasses) and np.array_equal(self.labels, other.labels)

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
    labels, predicted = read_test_outputs(run, "labels", "predicted")
    require_columns(run, "a label and a prediction for each sample", (labels, predicted), 1, "i")
    return PredictedClasses(labels, predicted, class_names(run))
