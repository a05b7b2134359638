"""The answers of runs to each test sample, read from their directories.

The registry of tasks names the reader of each task. A reader returns `Answers`; the parts of the report that show
single samples use this interface and do not depend on the task.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar, TypeVar

import numpy as np
from numpy.typing import NDArray

from rnnexp.compat.torch_file import read_tensors
from rnnexp.core.errors import UserError, first_line
from rnnexp.report.records.runs import Run
from rnnexp.tasks.registry import TaskKind, load_function
from rnnexp.tasks.translation.metrics import (
    DEFAULT_TOKENIZER,
    exact_matches,
    require_bleu_tokenizer,
    tokenizer_of_signature,
)
from rnnexp.tracking import translations_file

TOLERANCE = 1e-4
"""The difference of a share in float32 from the same in double precision, at most."""


class Answers(ABC):
    """The answers of one run to every sample of its test set, in the order of the set."""

    share: ClassVar[str] = ""
    """The metric of result.json that is the share of right answers; empty without one."""
    distances: Sequence[int] = ()
    """The distance in words between the words that must agree, by sample; empty if the data does not contain it."""

    @property
    @abstractmethod
    def right(self) -> NDArray[np.bool_]:
        """Whether each answer is right, bool [samples]."""

    @abstractmethod
    def same_samples(self, other: "Answers") -> bool:
        """Whether both answer the same samples."""

    @abstractmethod
    def describe(self, sample: int) -> dict[str, str]:
        """Return the cells of a table about a sample, besides the answers, by the title of their column."""

    @abstractmethod
    def show(self, sample: int) -> str:
        """Return the answer to a sample as text."""


@dataclass(frozen=True)
class Predictions(Answers):
    """Predicted classes.

    Args:
        labels: int64 [samples], the classes.
        predicted: int64 [samples].
    """

    share = "test/acc"
    labels: NDArray[np.int64]
    predicted: NDArray[np.int64]

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each prediction is the label, bool [samples]."""
        return np.equal(self.labels, self.predicted)

    def same_samples(self, other: Answers) -> bool:
        """Whether both have the same labels."""
        return isinstance(other, Predictions) and np.array_equal(self.labels, other.labels)

    def describe(self, sample: int) -> dict[str, str]:
        """Return the label."""
        return {"label": str(self.labels[sample])}

    def show(self, sample: int) -> str:
        """Return the predicted class."""
        return str(self.predicted[sample])


@dataclass(frozen=True)
class Translations(Answers):
    """Translated sentences.

    Args:
        sources: the sentences.
        references: their translations in the corpus.
        translations: the translations of the network.
        distances: see `Answers`.
        bleu_tokenizer: the tokenizer of sacrebleu that the run computed BLEU with.
    """

    share = "test/exact_match"
    sources: Sequence[str]
    references: Sequence[str]
    translations: Sequence[str]
    distances: Sequence[int] = ()
    bleu_tokenizer: str = DEFAULT_TOKENIZER

    @property
    def right(self) -> NDArray[np.bool_]:
        """Whether each translation is its reference, bool [sentences]."""
        return np.array(exact_matches(self.translations, self.references), dtype=bool)

    def same_samples(self, other: Answers) -> bool:
        """Whether both have the same sources and references."""
        return isinstance(other, Translations) and (self.sources, self.references) == (other.sources, other.references)

    def describe(self, sample: int) -> dict[str, str]:
        """Return the source and the reference."""
        return {"source": self.sources[sample], "reference": self.references[sample]}

    def show(self, sample: int) -> str:
        """Return the translation."""
        return self.translations[sample]


SomeAnswers = TypeVar("SomeAnswers", bound=Answers)


def read_answers(kind: TaskKind, run: Run) -> Answers:
    """Return the answers of a run, read by the reader of its task.

    Raises:
        UserError: if the task has no reader, or the file is missing or cannot be read.
    """
    if kind.answers is None:
        raise UserError(f"runs of the task {kind.name!r} do not record their answers")
    read: Callable[[Run], Answers] = load_function(kind.answers)
    return noting_damage(run, read)


def noting_damage(run: Run, read: Callable[[Run], SomeAnswers]) -> SomeAnswers:
    """Return the answers of a run; if they cannot be read or contradict its result, the report says so.

    Raises:
        UserError: if the file is missing, cannot be read or has answers to another number of samples than were tested.
    """
    try:
        answers = read(run)
        _require_number(answers, run)
    except UserError as error:
        run.add_damage(f"{error}: delete its result.json and continue with resume={run.path}, which tests it again")
        raise
    if len(answers.right):
        _note_contradiction(answers, run)
    return answers


def _require_number(answers: Answers, run: Run) -> None:
    found, tested = len(answers.right), run.number("num_test_samples")
    if tested is not None and found != tested:
        raise UserError(f"{run.path} has {found:,} answers, but its result is about {tested:,.0f} samples")


def _note_contradiction(answers: Answers, run: Run) -> None:
    """Add to the damage of a run that its result and its answers have different shares of right answers."""
    share, recorded = float(answers.right.mean()), run.metric(answers.share)
    if recorded is not None and abs(recorded - share) > TOLERANCE:
        run.add_damage(
            f"{run.path}: {answers.share} is {recorded:.4f} in {run.files.result_file.name}, but {share:.4f} by its "
            "recorded answers: one of both was changed"
        )


def read_predictions(run: Run) -> Predictions:
    """Return the content of test_predictions.pt.

    Raises:
        UserError: if the file is missing or cannot be read.
    """
    file = run.files.predictions_file
    if not file.is_file():
        raise UserError(f"{file} is missing")
    try:
        content = read_tensors(file)
        labels, predicted = content["labels"], content["predicted"]
    except (OSError, ValueError, KeyError) as error:
        raise UserError(f"{file} cannot be read ({first_line(error)}); was it cut short?") from None
    if not (labels.shape == predicted.shape == (labels.size,) and labels.dtype.kind == predicted.dtype.kind == "i"):
        raise UserError(f"{file} does not hold a label and a prediction for each sample")
    return Predictions(labels, predicted)


def read_translations(run: Run) -> Translations:
    """Return the content of test_translations.jsonl.

    Raises:
        UserError: if the file is missing or cannot be read.
    """
    file = run.files.translations_file
    rows = translations_file.read_translations(file)
    try:
        sources, references, translations = (
            [row[key] for row in rows] for key in ("source", "reference", "translation")
        )
    except KeyError as error:
        raise UserError(f"{file} cannot be read ({type(error).__name__}); was it cut short?") from None
    if not rows:
        raise UserError(f"{file} is empty")
    if not all(isinstance(text, str) for text in (*sources, *references, *translations)):
        raise UserError(f"{file} does not hold translations: a sentence is not a text")
    distances = [row["distance"] for row in rows if type(row.get("distance")) is int]
    distances = distances if len(distances) == len(rows) else []
    return Translations(sources, references, translations, distances, _bleu_tokenizer(run))


def _bleu_tokenizer(run: Run) -> str:
    signature = run.text("signatures.bleu")
    try:
        tokenizer = tokenizer_of_signature(signature) if signature else DEFAULT_TOKENIZER
    except ValueError as error:
        raise UserError(f"{run.files.result_file}: {error}") from None
    require_bleu_tokenizer(tokenizer)
    return tokenizer
