"""The .ts format of the UEA/UCR archive: a header of @ lines, then one sequence a line.

The features of a sequence are separated by colons, their values by commas, and the last part is the class or the
number: `1.0,2.5,?:3,4,5:walking`. A question mark is a missing value. The source is the
documentation of sktime and aeon.
"""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from rnnexp.core.errors import UserError
from rnnexp.data.sequences.content import Array, Content, Wanted, require_samples
from rnnexp.data.sequences.text_file import parse_numbers, read_text_lines

TARGETS = ("classlabel", "targetlabel")
"""Header lines that say whether the sequences have a class or a number."""


def read_ts(path: Path, wanted: Wanted) -> Content:
    """Read a .ts file.

    Raises:
        UserError: naming the line, for a file of another form.
    """
    if wanted.per_step:
        raise UserError(
            f"{path}: a .ts file has one target for each sequence: for targets of each step use .npz or .csv"
        )
    if wanted.group:
        raise UserError(f"{path}: a .ts file has no groups: use data.group=null, or a table")
    lines = enumerate(read_text_lines(path), start=1)
    header = _read_header(path, lines)
    has_target = any(header.get(name, "false").split()[0].lower() == "true" for name in TARGETS)
    if wanted.needs_targets and not has_target:
        raise UserError(f"{path}: its header names no @classLabel and no @targetLabel: it has no targets to learn")
    if header.get("timestamps", "false").lower() == "true":
        raise UserError(f"{path}: has time stamps (@timeStamps true): write the values alone, in the order of time")
    declared = set(header.get("classlabel", "").split()[1:])
    sequences: list[Array] = []
    targets: list[str] = []
    for number, line in lines:
        if line.strip():
            *features, last = line.strip().split(":")
            features = features if has_target else [*features, last]
            sequences.append(_read_sequence(path, number, features, len(sequences[0].T) if sequences else None))
            targets.append(last.strip())
            if declared and wanted.needs_targets and targets[-1] not in {*declared, "?"}:
                raise UserError(
                    f"{path}: line {number:,}: the class {targets[-1][:40]!r} is not among those of @classLabel: "
                    "correct it"
                )
    require_samples(path, len(sequences))
    return Content(
        path,
        np.concatenate(sequences),
        np.array([len(sequence) for sequence in sequences]),
        [str(number) for number in range(len(sequences))],
        targets=np.array(targets) if has_target else None,
    )


def _read_header(path: Path, lines: Iterator[tuple[int, str]]) -> Mapping[str, str]:
    """Return the values of the header by key in lower case, and leave the lines after @data."""
    header: dict[str, str] = {}
    for _, line in lines:
        key, value = (*line.split(maxsplit=1), "", "")[:2]
        if key.lower() == "@data":
            return header
        if key.startswith("@"):
            header[key[1:].lower()] = value.strip() or "false"
        elif key and not key.startswith("#"):
            break
    raise UserError(f"{path}: has no line @data: it is no .ts file of the UEA/UCR archive")


def _read_sequence(path: Path, number: int, features: Sequence[str], num_features: int | None) -> Array:
    """Return the values of a line, float64 [time, features]."""
    if not features or (num_features is not None and len(features) != num_features):
        raise UserError(
            f"{path}: line {number:,}: has {len(features)} features, and the first sequence {num_features or 1}: "
            "correct it"
        )
    columns = [
        parse_numbers(text.split(","), f"{path}: line {number:,}: feature {index}")
        for index, text in enumerate(features)
    ]
    if len({len(column) for column in columns}) > 1:
        sizes = ", ".join(str(len(column)) for column in columns)
        raise UserError(f"{path}: line {number:,}: its features have different numbers of steps ({sizes}): correct it")
    return np.stack(columns, axis=1)
