"""Filters on config keys: model.cell=gru seed=1,2 status=failed."""

import os
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UserError
from rnnexp.core.validation import did_you_mean
from rnnexp.runs.listing.listed_run import ListedRun, as_text
from rnnexp.tracking.keys import flattened, value_at
from rnnexp.tracking.status import Status

FORM = re.compile(r"([\w.]+)=(.*)", re.DOTALL)
OUTSIDE_BRACKETS = re.compile(r",(?![^\[]*\])")
STATUS = "status"
"""The key of the status of a run, which is no key of its config."""
STATUSES = tuple(map(str, Status))
MOST_NAMED = 8
ABSENT = object()


@dataclass(frozen=True)
class Filter:
    """A condition on one key.

    Args:
        key: a key of the config, with dots, or `status`.
        values: the texts of the values that are chosen.
    """

    key: str
    values: tuple[str, ...]

    def value_in(self, run: ListedRun) -> Any:  # noqa: ANN401
        """Return the value of the key in a run; `ABSENT` if it has no such key."""
        if self.key == STATUS:
            return str(run.state.status)
        return value_at(run.config, self.key, ABSENT)

    def matches(self, value: object) -> bool:
        """Return whether a value is one of those that are chosen; numbers are compared as numbers."""
        return value is not ABSENT and any(_is_equal(value, text) for text in self.values)


def split_arguments(arguments: Iterable[str]) -> tuple[list[Path], list[Filter]]:
    """Return the directories and the filters among arguments.

    `key=value` is a filter unless a directory of that name exists: the jobs of a sweep have such names.

    Raises:
        UserError: for a status that no run can have.
    """
    directories, filters = list[Path](), list[Filter]()
    for argument in arguments:
        form = FORM.fullmatch(argument)
        # Path.exists raises if the name is too long, as a list of values may be.
        if form is None or os.path.exists(argument):  # noqa: PTH110
            directories.append(Path(argument))
            continue
        chosen = Filter(form[1], tuple(OUTSIDE_BRACKETS.split(form[2])))
        if chosen.key == STATUS and (unknown := [text for text in chosen.values if text not in STATUSES]):
            raise UserError(
                f"unknown status {unknown[0]!r}: choose from {', '.join(STATUSES)}{did_you_mean(unknown[0], STATUSES)}"
            )
        filters.append(chosen)
    return directories, filters


def select(runs: Sequence[ListedRun], filters: Iterable[Filter]) -> list[ListedRun]:
    """Return the runs that match every filter.

    Raises:
        UserError: for a key that no run has, and for a filter that leaves no run.
    """
    selected = list(runs)
    for each in sorted(filters, key=lambda each: each.key != STATUS):
        values = [each.value_in(run) for run in selected]
        matching = [run for run, value in zip(selected, values, strict=True) if each.matches(value)]
        if not matching:
            raise UserError(_describe_mismatch(each, values, selected))
        selected = matching
    return selected


def _describe_mismatch(filter_: Filter, values: Sequence[object], runs: Sequence[ListedRun]) -> str:
    found = sorted({as_text(value) for value in values if value is not ABSENT and not isinstance(value, Mapping)})
    if found:
        shown = ", ".join(found[:MOST_NAMED]) + (", ..." if len(found) > MOST_NAMED else "")
        hint = did_you_mean(filter_.values[0], found)
        return f"no run has {filter_.key}={','.join(filter_.values)}: the values are {shown}{hint}"
    group = next((value for value in values if isinstance(value, Mapping)), None)
    if group:
        return (
            f"{filter_.key} is a group of keys: choose by one of them, {', '.join(f'{filter_.key}.{k}' for k in group)}"
        )
    known = {key for run in runs for key in flattened(run.config)}
    return f"no config has the key {filter_.key!r}{did_you_mean(filter_.key, [*known, STATUS])}"


def _is_equal(value: object, text: str) -> bool:
    if isinstance(value, int | float) and not isinstance(value, bool):
        try:
            return value == float(text)
        except ValueError:
            return False
    return as_text(value) == text
