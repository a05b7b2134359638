"""The answers of a tagging run: a class for each step of each sequence."""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from rnnexp.tasks.answers import (
    Answers,
    GradedAnswers,
    RecordedRun,
    class_names,
    read_test_outputs,
    require_columns,
    sample_of_rows,
)


@dataclass(frozen=True)
class TaggedSteps(GradedAnswers):
    """Predicted classes of steps. A sequence is right if all its steps are; the scores are the shares of right steps.

    Args:
        labels: int64 [steps], the classes, those of the first sequence first.
        predicted: int64 [steps].
        num_steps: int64 [samples], the steps of each sequence that have a class.
        sample: int64 [steps], the sequence of each step.
        names: class -> name; a class without a name is shown as its number.
    """

    metric = "test/sequence_acc"
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]
    num_steps: NDArray[np.int64]
    sample: NDArray[np.int64]
    names: dict[int, str] = field(default_factory=dict)

    @cached_property
    def _num_wrong(self) -> NDArray[np.int64]:
        wrong = self.sample[self.labels != self.predicted]
        return np.bincount(wrong, minlength=len(self.num_steps)).astype(np.int64)

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether all steps of each sequence are right, bool [samples]."""
        return np.equal(self._num_wrong, 0)

    @property
    def value(self) -> float:
        """The share of right sequences, of those with a step that has a class."""
        return float(self.right[self.num_steps > 0].mean())

    @property
    def scores(self) -> NDArray[np.float64]:
        """The share of right steps in each sequence with a step that has a class."""
        has_steps = self.num_steps > 0
        return 1 - self._num_wrong[has_steps] / self.num_steps[has_steps]

    @property
    def num_samples(self) -> int:
        """The number of sequences, with those that have no step with a class."""
        return len(self.num_steps)

    def same_samples(self, other: Answers) -> bool:
        """Whether both have the same labels."""
        return (
            isinstance(other, TaggedSteps)
            and np.array_equal(self.num_steps, other.num_steps)
            and np.array_equal(self.labels, other.labels)
        )

    def describe(self, sample: int) -> dict[str, str]:
        """Return the number of steps."""
        return {"steps": str(self.num_steps[sample])}

    def show(self, sample: int) -> str:
        """Return the number of wrong steps, and the first of them."""
        first = int(self.num_steps[:sample].sum())
        steps = slice(first, first + int(self.num_steps[sample]))
        labels, predicted = self.labels[steps], self.predicted[steps]
        wrong = np.flatnonzero(labels != predicted)
        if not len(wrong):
            return "all right"
        label, answer = (self.names.get(int(each[wrong[0]]), str(each[wrong[0]])) for each in (labels, predicted))
        return f"{len(wrong)} wrong, first {answer} for {label} at step {wrong[0] + 1} of those with a class"


def read(run: RecordedRun) -> TaggedSteps:
    """Return the classes in test_predictions.pt.

    Raises:
        UserError: if the file is missing or cannot be read.
    """
    labels, predicted, num_steps = read_test_outputs(run, "labels", "predicted", "num_steps")
    require_columns(run, "a label and a prediction for each step", (labels, predicted), 1, "i")
    sample = sample_of_rows(run, num_steps, len(labels))
    return TaggedSteps(labels, predicted, num_steps, sample, class_names(run))
