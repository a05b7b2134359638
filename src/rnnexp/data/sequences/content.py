"""The content of a file of sequences, whatever its format."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rnnexp.core.errors import UserError
from rnnexp.data.files.free_memory import require_memory

Array = NDArray[Any]
Files = str | Sequence[str] | None
"""A file, or two or three .npy files: inputs, targets and lengths."""


@dataclass(frozen=True)
class Wanted:
    """The parts that a reader takes from a file.

    Args:
        per_step: whether a sequence has a target at each step, and not one as a whole.
        needs_targets: whether a file without targets is refused.
        id, time, target, group: the columns of a table, see `SequencesDataModule`. `group` is also an array of an .npz
            file.
        features: the columns that are features; None for all others.
    """

    per_step: bool = False
    needs_targets: bool = True
    id: str = "id"
    time: str | None = "time"
    target: tuple[str, ...] = ("target",)
    group: str | None = None
    features: tuple[str, ...] | None = None


@dataclass(frozen=True)
class Content:
    """The sequences of a file, unprocessed.

    Args:
        path: the file, for messages.
        values: numbers [steps, features], all sequences one after the other; NaN where a value is missing.
        lengths: int64 [samples], the steps of each sequence.
        ids: the name of each sequence in the file: its id in a table, else its number from 0 on.
        features: the names of the features; None if the file does not name them.
        targets: numbers or text, [samples] or [steps], with further axes for vectors; None without targets. A missing
            text is empty.
        target_names: the names of the numbers of a target; None if the file does not name them.
        times: the time of each step as the file writes it [steps]; None if it has none.
        groups: the group of each sequence as text [samples]; None without groups.
    """

    path: Path
    values: Array
    lengths: Array
    ids: Sequence[str]
    features: tuple[str, ...] | None = None
    targets: Array | None = None
    target_names: tuple[str, ...] | None = None
    times: Array | None = None
    groups: Array | None = None

    def __len__(self) -> int:
        """Return the number of sequences."""
        return len(self.lengths)

    @property
    def offsets(self) -> Array:
        """The first step of each sequence in `values`, and the end of the last, int64 [samples + 1]."""
        return np.concatenate([[0], np.cumsum(self.lengths)])

    def feature_name(self, feature: int) -> str:
        """Return the name of a feature, or its number from 0 on."""
        return str(feature) if self.features is None else repr(self.features[feature])

    def place(self, step: int) -> str:
        """Return the place of a step of `values` in words."""
        sample = int(np.searchsorted(self.offsets, step, side="right")) - 1
        when = f"step {step - self.offsets[sample]}" if self.times is None else f"time {self.times[step]}"
        return f"sequence {self.ids[sample]!r}, {when}"


def require_samples(path: Path, num_samples: int) -> None:
    """Raise UserError for a file without sequences."""
    if num_samples == 0:
        raise UserError(f"{path}: has no sequences: it needs one")


def require_to_fit(path: Path, num_bytes: int) -> None:
    """Raise UserError for a file whose sequences take more memory, while they are read, than is free."""
    remedy = "data=sequences keeps all sequences in memory, so name a smaller file, or use a larger machine"
    require_memory(num_bytes, str(path), remedy)


def as_text(path: Path, cells: Sequence[str]) -> Array:
    """Return cells as an array of text. Raise UserError if they do not fit: each takes as much as the longest."""
    require_to_fit(path, 3 * 4 * len(cells) * max(map(len, cells), default=0))
    return np.array(cells, dtype=str)


def text_of_dates(dates: Array) -> Array:
    """Return dates of NumPy as text, empty for a missing one."""
    return np.where(np.isnat(dates), "", np.datetime_as_string(dates))


def text_or_empty(values: Array) -> Array:
    """Return names of sequences or groups as text without space around it, empty for a missing one."""
    if values.dtype.kind == "M":
        return text_of_dates(values)
    text = values.astype(str)
    if values.dtype.kind == "f":
        return np.where(np.isnan(values), "", text)
    return np.char.strip(text) if values.dtype.kind in "US" else text
