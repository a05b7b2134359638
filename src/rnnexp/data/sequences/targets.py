"""Targets of sequences: class names, and numbers in standard units."""

import logging
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from rnnexp.core.errors import UserError
from rnnexp.data.batches import NO_LABEL, TargetUnits
from rnnexp.data.sequences.content import Array, Content, text_or_empty
from rnnexp.data.sequences.text_file import parse_numbers, plain_numbers

log = logging.getLogger(__name__)

NO_CLASS = frozenset({"", "?", "nan"})
"""Words, in lower case, that stand for a missing label. Others that mean a missing number, as none, may be a class."""
WHOLE = 2**53
"""The bound of floating point numbers that are whole numbers exactly."""
MAX_CLASSES = 10_000
"""The bound of the number of classes: their confusion matrix has the square of it as its size."""
ROUNDING = 1e-12
"""The deviation of a constant is not exactly 0, since its mean is rounded: it is below this share of the mean."""
ClassNames = list[int] | list[str]
"""The labels of the classes as the files write them: numbers if all are whole numbers, else text."""


def labels_of(content: Content, *, may_miss: bool) -> Array:
    """Return the labels of sequences or steps as text, empty where one is missing.

    Args:
        content: has targets.
        may_miss: whether a missing label is admitted.

    Raises:
        UserError: for vectors, fractions, and a missing label.
    """
    targets = content.targets
    assert targets is not None
    targets = targets[:, 0] if targets.ndim == 2 and targets.shape[1] == 1 else targets
    if targets.ndim > 1:
        raise UserError(
            f"{content.path}: has {targets.shape[1]} targets, and a class is one value: name one, or use "
            "task=tagging for a class of each step, or task=regression"
        )
    if targets.dtype.kind == "f":
        labels = _labels_of_floats(content, targets)
    else:
        labels = text_or_empty(targets)
        labels = np.where([label.lower() in NO_CLASS for label in labels], "", labels) if len(labels) else labels
        labels = _whole_numbers(content, labels)
    if not may_miss and (labels == "").any():
        index = int((labels == "").argmax())
        hint = "" if len(labels) == len(content) else ", or use data.missing=mask, which leaves such steps out"
        raise UserError(f"{content.path}: {_place(content, labels, index)}: has no class: give it one{hint}")
    return labels


def _labels_of_floats(content: Content, targets: Array) -> Array:
    is_missing = np.isnan(targets)
    is_wrong = ~is_missing & ~((np.abs(targets) < WHOLE) & (targets == np.floor(targets)))
    if is_wrong.any():
        raise _fraction(content, targets, int(is_wrong.argmax()))
    return np.where(is_missing, "", np.where(is_missing, 0, targets).astype(np.int64).astype(str))


def _whole_numbers(content: Content, labels: Array) -> Array:
    """Return labels in which `1` stands for `1.0` and `1e0`, if all are numbers.

    Raises:
        UserError: for labels that are all numbers, and not all whole numbers.
    """
    names = sorted(set(labels.tolist()) - {""})
    try:
        numbers = plain_numbers(names)
    except ValueError:
        return labels
    if fractions := [name for name, number in zip(names, numbers, strict=True) if not number.is_integer()]:
        index = int((labels == fractions[0]).argmax())
        raise _fraction(content, labels, index)
    # Programs write whole numbers so, if the column has had a missing one.
    spelt = {name: str(int(number)) for name, number in zip(names, numbers, strict=True) if not name.isdigit()}
    return np.array([spelt.get(label, label) for label in labels.tolist()]) if spelt else labels


def _fraction(content: Content, labels: Array, index: int) -> UserError:
    return UserError(
        f"{content.path}: {_place(content, labels, index)}: has the class {labels[index]}, and a class is a "
        "whole number or text: task=regression predicts numbers"
    )


def _place(content: Content, targets: Array, index: int) -> str:
    """Return the place of a target in words."""
    is_of_sequence = len(targets) == len(content) and len(content.values) != len(content)
    return f"sequence {content.ids[index]!r}" if is_of_sequence else content.place(index)


def class_names(labels: Array) -> ClassNames:
    """Return the different labels in ascending order, as numbers if all are whole numbers."""
    names = sorted(set(labels.tolist()) - {""})
    try:
        numbers = sorted(int(name) for name in names)
    except ValueError:
        return names
    are_numbers = sorted(map(str, numbers)) == names and all(-(2**63) <= number < 2**63 for number in numbers)
    return numbers if are_numbers else names


def encode_labels(labels: Array, names: ClassNames) -> Tensor:
    """Return the place of each label in the names, int64; NO_LABEL for a missing one."""
    places = {str(name): place for place, name in enumerate(names)} | {"": NO_LABEL}
    return torch.tensor([places[label] for label in labels.tolist()], dtype=torch.int64)


def require_known(content: Content, labels: Array, names: ClassNames, remedy: str) -> None:
    """Raise UserError for a label that the training split lacks.

    Args:
        content: the sequences with these labels.
        labels: the labels of sequences or steps.
        names: the classes of the training split.
        remedy: what to do about it, for the message.
    """
    unknown = set(labels.tolist()) - {str(name) for name in names} - {""}
    if unknown:
        first = int(np.isin(labels, list(unknown)).argmax())
        raise UserError(
            f"{content.path}: {_place(content, labels, first)}: the class {str(labels[first])!r} does not occur in "
            f"training, which has {_listed(names)}: {remedy}"
        )


def _listed(names: ClassNames, most: int = 10) -> str:
    shown = ", ".join(map(str, names[:most]))
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def numbers_of(content: Content) -> Array:
    """Return the numbers of sequences or steps, float64 [samples or steps, targets].

    Raises:
        UserError: for text, and for a number that is missing or infinite.
    """
    targets = content.targets
    assert targets is not None
    if targets.ndim > 2 or 0 in targets.shape:
        raise UserError(f"{content.path}: has targets of shape {list(targets.shape)}: give a vector for each")
    targets = targets[:, None] if targets.ndim == 1 else targets
    if targets.dtype.kind not in "biuf":
        columns = [
            parse_numbers(column.tolist(), f"{content.path}: target {target_names(content, targets.shape[1])[index]!r}")
            for index, column in enumerate(targets.astype(str).T)
        ]
        targets = np.stack(columns, axis=1)
    numbers = targets.astype(np.float64)
    if not np.isfinite(numbers).all():
        index = int((~np.isfinite(numbers)).any(axis=1).argmax())
        raise UserError(
            f"{content.path}: {_place(content, numbers, index)}: has the target {numbers[index].tolist()}: give a "
            "number"
        )
    return numbers


def target_names(content: Content, number: int) -> Sequence[str]:
    """Return the names of the numbers of a target, `y` or `y0`, `y1` if the file has none."""
    if content.target_names is not None:
        return content.target_names
    return ["y"] if number == 1 else [f"y{index}" for index in range(number)]


def standard_units(names: Sequence[str], numbers: Array) -> TargetUnits:
    """Return the units in which the numbers of the training split have mean 0 and standard deviation 1.

    Raises:
        UserError: for numbers whose squares are infinite.
    """
    with np.errstate(over="ignore", invalid="ignore"):
        std = numbers.std(axis=0)
    if not np.isfinite(std).all():
        raise UserError(f"data.target: {names[int((~np.isfinite(std)).argmax())]!r} is too large: change its unit")
    mean = numbers.mean(axis=0)
    is_constant = std <= ROUNDING * np.abs(mean)
    for index in np.flatnonzero(is_constant).tolist():
        log.warning("data.target: %r is the same in all training sequences, %g", names[index], mean[index])
    return TargetUnits(list(names), mean.tolist(), np.where(is_constant, 1.0, std).tolist())


def encode_numbers(numbers: Array, units: TargetUnits) -> Tensor:
    """Return numbers in standard units, float32 [rows, targets].

    Raises:
        UserError: for a number that is too large for float32 in these units.
    """
    encoded = torch.from_numpy((numbers - np.array(units.mean)) / np.array(units.std)).float()
    if not (finite := encoded.isfinite().all(dim=0)).all():
        name = units.names[int((~finite).int().argmax())]
        raise UserError(f"data.target: a value of {name!r} is too far from those of training: correct it")
    return encoded
