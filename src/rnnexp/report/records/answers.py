"""The answers of runs to each test sample, checked against their results.

The registry of tasks names the reader of each task, see `rnnexp.tasks.answers`; nothing here depends on the task.
"""

from collections.abc import Callable
from pkgutil import resolve_name
from typing import Any

from rnnexp.core.errors import UserError
from rnnexp.core.files.bounded import TooLargeError
from rnnexp.report.records.runs import Run
from rnnexp.tasks.answers import Answers
from rnnexp.tasks.registry import TaskKind

TOLERANCE = 1e-4
"""The difference of a metric in float32 from the same in double precision, at most, relative to values above 1."""


def read_answers(kind: TaskKind, run: Run) -> Any:  # noqa: ANN401 (the answers of the task)
    """Return the answers of a run, read by the reader of its task.

    If they cannot be read or contradict its result, the report says so.

    Raises:
        UserError: if the task has no reader, or the file is missing, cannot be read or has answers to another number of
            samples than were tested.
    """
    if kind.answers is None:
        raise UserError(f"runs of the task {kind.name!r} do not record their answers")
    read: Callable[[Run], Answers] = resolve_name(kind.answers)
    try:
        answers = read(run)
        _require_number(answers, run)
    except TooLargeError as error:
        run.add_damage(str(error))
        raise
    except UserError as error:
        run.add_damage(f"{error}: delete its result.json and continue with resume={run.path}, which tests it again")
        raise
    if len(answers.scores):
        _note_contradiction(answers, run)
    return answers


def _require_number(answers: Answers, run: Run) -> None:
    found, tested = answers.num_samples, run.number("num_test_samples")
    if tested is not None and found != tested:
        raise UserError(f"{run.path} has {found:,} answers, but its result is about {tested:,.0f} samples")


def _note_contradiction(answers: Answers, run: Run) -> None:
    """Add to the damage of a run that its result and its answers have different values of a metric."""
    value, recorded = answers.value, run.metric(answers.metric)
    if recorded is not None and abs(recorded - value) > TOLERANCE * max(1.0, abs(recorded)):
        run.add_damage(
            f"{run.path}: {answers.metric} is {recorded:.4f} in {run.files.result_file.name}, but {value:.4f} by its "
            "recorded answers: one of both was changed"
        )
