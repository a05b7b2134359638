"""The answers of finished runs to their test samples, and the tests between the answers of two runs.

The row of a task in the registry names the function that reads its answers, `(run: RecordedRun) -> Answers`. The report
calls it, so this module and those of the functions import no torch.
"""

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, NamedTuple, Protocol, Self

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from rnnexp.compat.torch_file import read_tensors
from rnnexp.core.errors import UserError, first_line
from rnnexp.tracking.run_directory import RunDirectory


class RecordedRun(Protocol):
    """A finished run as the report has read it."""

    @property
    def files(self) -> RunDirectory:
        """The files of the run."""

    @property
    def result(self) -> Mapping[str, Any]:
        """The content of result.json."""

    def metric(self, name: str) -> float | None:
        """Return a metric of the result; None if it has none."""

    def text(self, path: str) -> str:
        """Return a field of the result by its path, keys joined by dots, as text; empty if there is none."""


class SampleTest(NamedTuple):
    """A test over samples between two runs.

    Args:
        p: the p-value; None if there is none, for the given reason.
        lead: the lead of the first run.
        alone_right: the numbers of samples that only the first and only the second has right; None if the test does not
            count them.
        reason: why there is no p-value.
    """

    p: float | None
    lead: float = 0.0
    alone_right: tuple[int, int] | None = None
    reason: str = ""


class Answers(ABC):
    """The answers of one run to every sample of its test set, in the order of the set."""

    metric: ClassVar[str]
    """The metric of result.json that follows from the answers."""
    combination: ClassVar[str] = ""
    """How `combined` makes one answer of several, as the end of a sentence that begins with "The runs"."""

    @property
    @abstractmethod
    def scores(self) -> NDArray[Any]:
        """The score of each answer, [samples], where more is better; bool if an answer is right or wrong."""

    @property
    @abstractmethod
    def value(self) -> float:
        """The value of `metric` by these answers."""

    @property
    def num_samples(self) -> int:
        """The number of samples that were tested: by default that of the scores."""
        return len(self.scores)

    @abstractmethod
    def same_samples(self, other: "Answers") -> bool:
        """Whether both answer the same samples."""

    @property
    def measures(self) -> dict[str, float]:
        """The metrics of result.json that follow from the answers, by name."""
        return {self.metric: self.value}

    def combined(self, others: Sequence[Self]) -> Self | None:  # noqa: ARG002
        """Return the answers of an ensemble of runs; None if they do not follow from the answers of each.

        Args:
            others: the answers of the other runs to the same samples.
        """
        return None

    def ensemble_command(self, runs: Sequence[RecordedRun], output: Path) -> str | None:  # noqa: ARG002
        """Return the command that writes the answers of an ensemble of runs as lines of text; None if there is none.

        Args:
            runs: the runs, the first of which gave these answers.
            output: the file to write.
        """
        return None

    def answered(self, texts: Sequence[str]) -> Self | None:  # noqa: ARG002
        """Return other answers to the same samples, given as texts; None if the task answers otherwise.

        Raises:
            ValueError: for another number of texts.
        """
        return None

    def compare(self, others: Sequence[Self], level: float) -> list[SampleTest]:  # noqa: ARG002 (for resampling)
        """Test these answers against others to the same samples: McNemar's test, or a paired t-test of the scores.

        Args:
            others: the answers of other runs.
            level: the value below which a p-value must be able to fall.
        """
        test = mcnemar if self.scores.dtype == bool else paired_t
        return [test(self.scores, other.scores) for other in others]


class GradedAnswers(Answers):
    """Answers that are right or wrong, which the report can show one by one."""

    @property
    @abstractmethod
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is right, bool [samples]."""

    @property
    def scores(self) -> NDArray[Any]:
        """Whether each answer is right."""
        return self.right

    @property
    def value(self) -> float:
        """The share of right answers."""
        return float(self.right.mean())

    @abstractmethod
    def describe(self, sample: int) -> dict[str, str]:
        """Return the cells of a table about a sample, besides the answers, by the title of their column."""

    @abstractmethod
    def show(self, sample: int) -> str:
        """Return the answer to a sample as text."""


def mcnemar(a_right: NDArray[np.bool_], b_right: NDArray[np.bool_]) -> SampleTest:
    """Return McNemar's test (1947) in its exact form, of answers to the same samples.

    The p-value is two-sided: if both were equally good, each sample that only one of them has right would be one of a's
    with probability 1/2.

    Args:
        a_right, b_right: bool [samples].
    """
    only_a, only_b = int((a_right & ~b_right).sum()), int((b_right & ~a_right).sum())
    number = only_a + only_b
    p = float(stats.binomtest(only_a, number).pvalue) if number else 1.0
    return SampleTest(p, only_a - only_b, (only_a, only_b))


def paired_t(a_scores: NDArray[np.floating[Any]], b_scores: NDArray[np.floating[Any]]) -> SampleTest:
    """Return the two-sided t-test of the differences a - b over the samples.

    Args:
        a_scores, b_scores: [samples].
    """
    differences = a_scores - b_scores
    if len(differences) < 2:
        return SampleTest(None, reason=f"too few samples ({len(differences)}; at least 2)")
    if not np.isfinite(differences).all():
        return SampleTest(None, reason="an answer is no number")
    lead = float(differences.mean())
    if differences.std() <= 1e-9 * abs(lead):
        return SampleTest(None, lead, reason="the difference is the same for all samples") if lead else SampleTest(1.0)
    return SampleTest(float(stats.ttest_1samp(differences, 0.0).pvalue), lead)


def read_test_outputs(run: RecordedRun, *names: str) -> list[NDArray[Any]]:
    """Return tensors of test_predictions.pt, which `Task.test_outputs` names.

    Raises:
        UserError: if the file is missing or cannot be read.
    """
    file = run.files.predictions_file
    if not file.is_file():
        raise UserError(f"{file} is missing")
    try:
        content = read_tensors(file)
        return [content[name] for name in names]
    except (OSError, ValueError, KeyError) as error:
        raise _unreadable(file, error) from None


def read_ids(run: RecordedRun) -> list[str]:
    """Return the names of the test samples in their file, in the order of the set; empty if they have none.

    Raises:
        UserError: if the predictions cannot be read.
    """
    file = run.files.predictions_file
    if not file.is_file():
        return []
    try:
        return [str(each) for each in read_tensors(file).get("ids", ())]
    except (OSError, ValueError) as error:
        raise _unreadable(file, error) from None


def _unreadable(file: Path, error: Exception) -> UserError:
    return UserError(f"{file} cannot be read ({first_line(error)}); was it cut short?")


def require_columns(run: RecordedRun, what: str, arrays: Sequence[NDArray[Any]], dimensions: int, kinds: str) -> None:
    """Raise UserError unless the arrays have equal shapes and these dimensions and kinds of numbers.

    Args:
        run: the run that they were read from.
        what: what the file should hold, for the message.
        arrays: the arrays.
        dimensions: the number of their dimensions.
        kinds: the kinds of NumPy's dtypes, `i` or `f`.
    """
    if any(each.shape != arrays[0].shape or each.ndim != dimensions or each.dtype.kind not in kinds for each in arrays):
        raise UserError(f"{run.files.predictions_file} does not hold {what}")


def sample_of_rows(run: RecordedRun, num_steps: NDArray[Any], num_rows: int) -> NDArray[np.int64]:
    """Return the sample of each row of the test outputs, int64 [rows].

    Args:
        run: the run that they were read from.
        num_steps: the number of rows of each sample, [samples].
        num_rows: the number of all rows.

    Raises:
        UserError: if the numbers of rows do not fit together.
    """
    require_columns(run, "the number of steps of each sample", [num_steps], 1, "i")
    if (num_steps < 0).any() or num_steps.sum() != num_rows:
        raise UserError(f"{run.files.predictions_file} holds {num_rows:,} rows, which its numbers of steps contradict")
    return np.repeat(np.arange(len(num_steps)), num_steps)


def class_names(run: RecordedRun) -> dict[int, str]:
    """Return the names of the classes that have one, by the class in the test outputs."""
    names = (run.result.get("answers") or {}).get("class_names")
    return dict(enumerate(map(str, names))) if isinstance(names, list) else {}
