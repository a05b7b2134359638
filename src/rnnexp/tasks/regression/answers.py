"""The answers of a regression run: numbers for each sequence, or for each of its steps."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
from numpy.typing import NDArray

from rnnexp.tasks.answers import Answers, RecordedRun, read_test_outputs, require_columns, sample_of_rows


@dataclass(frozen=True)
class PredictedNumbers(Answers):
    """Predicted numbers.

    Args:
        targets: float64 [rows, targets], the truth in the units of the data.
        predicted: float64 [rows, targets].
        num_steps: int64 [samples], the rows of each sequence.
        sample: int64 [rows], the sequence of each row.
    """

    metric = "test/rmse"
    combination = "are averaged in what they predict"
    targets: NDArray[np.float64]
    predicted: NDArray[np.float64]
    num_steps: NDArray[np.int64]
    sample: NDArray[np.int64]

    @property
    def scores(self) -> NDArray[np.float64]:
        """The negative squared error of each sequence, [samples]: the mean over its steps and numbers.

        Several numbers count equally: the error of each is divided by the deviation of its targets.
        """
        deviation = self.targets.std(axis=0)
        errors = ((self.predicted - self.targets) / np.where(deviation > 0, deviation, 1)) ** 2
        sums = np.bincount(self.sample, errors.mean(axis=1), minlength=len(self.num_steps))
        return -sums / np.maximum(self.num_steps, 1)

    @property
    def value(self) -> float:
        """The root of the mean squared error, the mean over the numbers."""
        return float(np.sqrt(((self.predicted - self.targets) ** 2).mean(axis=0)).mean())

    def combined(self, others: Sequence[Self]) -> Self:
        """Return the mean of the predicted numbers."""
        return replace(self, predicted=np.mean([member.predicted for member in (self, *others)], axis=0))

    def same_samples(self, other: Answers) -> bool:
        """Whether both have the same targets."""
        return (
            isinstance(other, PredictedNumbers)
            and np.array_equal(self.num_steps, other.num_steps)
            and self.targets.shape == other.targets.shape
            and np.allclose(self.targets, other.targets, rtol=1e-5)
        )


def read(run: RecordedRun) -> PredictedNumbers:
    """Return the numbers in test_predictions.pt.

    Raises:
        UserError: if the file is missing or cannot be read.
    """
    targets, predicted, num_steps = read_test_outputs(run, "targets", "predicted", "num_steps")
    require_columns(run, "the truth and a prediction for each sample", (targets, predicted), 2, "f")
    return PredictedNumbers(targets, predicted, num_steps, sample_of_rows(run, num_steps, len(targets)))
