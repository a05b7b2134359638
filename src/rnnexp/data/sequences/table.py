"""Tables in long form: a row for each step, with the columns id, time, features and target. CSV and Parquet."""

import csv
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np

from rnnexp.core.errors import UserError, first_line
from rnnexp.core.validation import did_you_mean
from rnnexp.data.sequences.content import (
    Array,
    Content,
    Wanted,
    as_text,
    require_samples,
    require_to_fit,
    text_of_dates,
    text_or_empty,
)
from rnnexp.data.sequences.text_file import MISSING, parse_numbers, plain_numbers, read_text_lines

DELIMITERS = ",;\t"
Rows = Any
"""An iterator of rows with `line_num`, which csv.reader returns; its class has no public name."""
CHUNK_SIZE = 1 << 16
"""Rows whose cells are Python objects at the same time."""
EPOCH, MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
NANOSECONDS = re.compile(r"[.,]\d{6}(\d{1,3})")
"""The digits of a date that `datetime` leaves out."""


@dataclass(frozen=True)
class Table:
    """The columns of a table that are read.

    Args:
        path: the file.
        values: the features, float64 [rows, features].
        columns: the other columns by name, text or numbers [rows].
        numbers: the number of each row, for messages [rows].
        unit: what is numbered: `line` or `row`.
    """

    path: Path
    values: Array
    columns: Mapping[str, Array]
    numbers: Array
    unit: str

    def row(self, index: int) -> str:
        """Return the place of a row in words."""
        return f"{self.unit} {self.numbers[index]:,}"


@dataclass(frozen=True)
class Choice:
    """The columns that are read: the features, and the others."""

    features: tuple[str, ...]
    others: tuple[str, ...]


def read_csv(path: Path, wanted: Wanted) -> Content:
    """Read a CSV file, whose first line names the columns; they are separated by commas, semicolons or tabs.

    Raises:
        UserError: naming the line, for a file of another form.
    """
    lines = read_text_lines(path)
    if not lines or not lines[0].strip():
        raise UserError(f"{path}: line 1 is empty: it needs the names of the columns, and a line for each step")
    delimiter = max(DELIMITERS, key=lines[0].count)
    rows = csv.reader((f"{line}\n" for line in lines), delimiter=delimiter, skipinitialspace=True, strict=True)
    try:
        return _read_rows(path, rows, wanted)
    except csv.Error as error:
        raise UserError(f"{path}: line {rows.line_num:,}: is no CSV ({error}): correct it") from None


def _read_rows(path: Path, rows: Rows, wanted: Wanted) -> Content:
    names = [name.strip() for name in next(rows)]
    choice = choose_columns(path, names, wanted)
    places = [names.index(name) for name in choice.features]
    other_places = [names.index(name) for name in choice.others]
    values: list[Array] = []
    others: list[list[str]] = [[] for _ in other_places]
    chunk: list[list[str]] = []
    numbers: list[int] = []
    for row in rows:
        if not row:
            continue
        if len(row) != len(names):
            raise UserError(
                f"{path}: line {rows.line_num:,}: has {len(row)} cells, and line 1 names {len(names)} columns: "
                "correct it"
            )
        numbers.append(rows.line_num)
        for column, place in zip(others, other_places, strict=True):
            column.append(row[place].strip())
        chunk.append([row[place] for place in places])
        if len(chunk) == CHUNK_SIZE:
            values.append(_parse_chunk(path, choice, chunk, numbers))
            chunk = []
    values.append(_parse_chunk(path, choice, chunk, numbers))
    columns = {name: as_text(path, column) for name, column in zip(choice.others, others, strict=True)}
    return as_content(Table(path, np.concatenate(values), columns, np.array(numbers), "line"), choice, wanted)


def _parse_chunk(path: Path, choice: Choice, chunk: Sequence[Sequence[str]], numbers: Sequence[int]) -> Array:
    """Return the features of the last rows, float64 [rows, features]."""
    try:
        return np.array([plain_numbers(row) for row in chunk]).reshape(len(chunk), len(choice.features))
    except ValueError:
        first = len(numbers) - len(chunk)
        try:
            parsed = [
                [
                    parse_numbers([cell], f"{path}: line {numbers[first + index]:,}: column {name!r}")[0]
                    for name, cell in zip(choice.features, row, strict=True)
                ]
                for index, row in enumerate(chunk)
            ]
        except UserError as error:
            raise UserError(f"{error}, or leave the column out: name the others in data.features") from None
        return np.array(parsed)


def read_parquet(path: Path, wanted: Wanted) -> Content:
    """Read a Parquet file, with pyarrow.

    Raises:
        UserError: without pyarrow, and for a file of another form.
    """
    if find_spec("pyarrow") is None:
        raise UserError(f'{path}: Parquet needs pyarrow: pip install -e ".[parquet]", or write the table as .csv')
    parquet: Any = import_module("pyarrow.parquet")
    try:
        file = parquet.ParquetFile(path)
        # pandas stores its index of rows as a column.
        names = [name for name in file.schema_arrow.names if not name.startswith("__index_level_")]
        choice = choose_columns(path, names, wanted)
        require_to_fit(path, 2 * 8 * file.metadata.num_rows * len(choice.features))
        read = file.read(columns=[*choice.features, *choice.others])
        arrays = {name: read.column(name).to_numpy() for name in read.column_names}
    except UserError:
        raise
    except Exception as error:
        # A damaged or hostile file raises whatever pyarrow does.
        raise UserError(f"{path}: is no valid Parquet file ({first_line(error)}): write it again") from None
    for name in choice.features:
        if arrays[name].dtype.kind not in "biuf":
            raise UserError(
                f"{path}: column {name!r} holds {read.schema.field(name).type} where numbers belong: convert it"
            )
    values = np.stack([arrays[name].astype(np.float64) for name in choice.features], axis=1)
    columns = {name: _as_text_or_numbers(path, arrays[name]) for name in choice.others}
    return as_content(Table(path, values, columns, np.arange(len(values)), "row"), choice, wanted)


def _as_text_or_numbers(path: Path, column: Array) -> Array:
    if column.dtype.kind in "biuf":
        return column
    if column.dtype.kind == "M":
        return text_of_dates(column)
    values = [value.decode(errors="replace") if isinstance(value, bytes) else value for value in column]
    return as_text(path, ["" if value is None else str(value) for value in values])


def choose_columns(path: Path, names: Sequence[str], wanted: Wanted) -> Choice:
    """Return the columns to read.

    Raises:
        UserError: for a name that occurs twice or that the file lacks.
    """
    if "" in names:
        raise UserError(f"{path}: column {names.index('') + 1} has no name: name it, or leave out an index of rows")
    if repeated := [name for name in dict.fromkeys(names) if names.count(name) > 1]:
        raise UserError(f"{path}: has two columns {repeated[0]!r}: rename one")
    keys = {"data.id": wanted.id, "data.time": wanted.time, "data.group": wanted.group}
    required = {key: name for key, name in keys.items() if name is not None}
    if wanted.needs_targets:
        required |= {
            f"data.target{'' if len(wanted.target) == 1 else f'[{n}]'}": name for n, name in enumerate(wanted.target)
        }
    features = wanted.features
    if features is None:
        given = {*required.values(), *wanted.target}
        features = tuple(name for name in names if name not in given)
    for key, name in [*required.items(), *(("data.features", name) for name in features)]:
        if name not in names:
            what = f" of {key}" if key != "data.features" else ", a feature"
            none = " (data.time=null keeps the order of the rows)" if key == "data.time" else ""
            raise UserError(
                f"{path}: has no column {name!r}{what}: it has {', '.join(names)}{did_you_mean(name, names)}{none}"
            )
    if not features:
        raise UserError(f"{path}: has no features besides {', '.join(required.values())}: it needs a column of numbers")
    return Choice(features, tuple(dict.fromkeys(required.values())))


def as_content(table: Table, choice: Choice, wanted: Wanted) -> Content:
    """Return the sequences of a table: the rows of an id in the order of time, the ids in the order of the file.

    Raises:
        UserError: for an id that is missing, a time that occurs twice in an id, and a target or a group that is not
            the same in all rows of an id.
    """
    path, columns = table.path, table.columns
    require_samples(path, len(table.values))
    ids = text_or_empty(columns[wanted.id])
    if (ids == "").any():
        raise UserError(f"{path}: {table.row(int((ids == '').argmax()))}: has no {wanted.id}: name its sequence")
    names, first, inverse = np.unique(ids, return_index=True, return_inverse=True)
    rank = np.empty(len(names), dtype=np.int64)
    rank[first.argsort()] = np.arange(len(names))
    sample = rank[inverse]
    times = None if wanted.time is None else columns[wanted.time]
    if times is None:
        order = sample.argsort(kind="stable")
    else:
        keys = _time_keys(table, wanted, times)
        order = np.lexsort((keys, sample))
        repeats = (np.diff(keys[order]) == 0) & (np.diff(sample[order]) == 0)
        if repeats.any():
            one, other = sorted(order[int(repeats.argmax()) :][:2])
            raise UserError(
                f"{path}: {table.row(one)} and {table.row(other)}: both have {wanted.id} {str(ids[one])!r} and "
                f"{wanted.time} {times[one]}: remove one"
            )
    lengths = np.bincount(sample)
    constant = partial(_constant, table, order=order, lengths=lengths, wanted=wanted)
    targets = None
    if wanted.needs_targets:
        targets = np.stack([columns[name] if wanted.per_step else constant(name) for name in wanted.target], axis=1)
        targets = targets[order] if wanted.per_step else targets
        targets = targets[:, 0] if len(wanted.target) == 1 else targets
    return Content(
        path,
        table.values[order],
        lengths,
        [str(name) for name in names[rank.argsort()]],
        features=choice.features,
        targets=targets,
        target_names=wanted.target if wanted.needs_targets else None,
        times=None if times is None else times[order],
        groups=None if wanted.group is None else text_or_empty(constant(wanted.group)),
    )


def _constant(table: Table, name: str, order: Array, lengths: Array, wanted: Wanted) -> Array:
    """Return the value of a column in each sequence [samples].

    Args:
        order: the rows in the order of the sequences and times, int64 [rows].
        lengths: the steps of each sequence, int64 [samples].

    Raises:
        UserError: if it changes within a sequence.
    """
    column = table.columns[name][order]
    values: Array = column[np.cumsum(lengths) - lengths]
    differs = column != np.repeat(values, lengths)
    if column.dtype.kind == "f":
        differs &= ~np.isnan(column)
    if name == wanted.group and (text_or_empty(values) == "").any():
        row = int(order[(np.cumsum(lengths) - lengths)[(text_or_empty(values) == "").argmax()]])
        raise UserError(f"{table.path}: {table.row(row)}: has no {name}, which data.group names: give it one")
    if differs.any():
        row = int(order[int(differs.argmax())])
        raise UserError(
            f"{table.path}: {table.row(row)}: {name} changes within {wanted.id} {table.columns[wanted.id][row]}: "
            "give all rows of a sequence the same (task=tagging learns a class of each step)"
        )
    return values


def _time_keys(table: Table, wanted: Wanted, times: Array) -> Array:
    """Return numbers that sort the times, int64 or float64 [rows]: numbers, or dates in the form of ISO 8601."""
    if times.dtype.kind != "U":
        keys = times
    elif (exact := _whole_numbers(times)) is not None or (exact := _dates(times)) is not None:
        keys = exact
    else:
        try:
            keys = np.array(plain_numbers(times.tolist()))
        except ValueError:
            keys = _parse_times(table, wanted, times)
    if not np.isfinite(keys).all():
        row = int((~np.isfinite(keys)).argmax())
        raise UserError(
            f"{table.path}: {table.row(row)}: the {wanted.time} is {str(times[row])[:40]!r}: give each row a number, "
            "or each a date"
        )
    return keys


def _parse_times(table: Table, wanted: Wanted, times: Array) -> Array:
    """Return the numbers of times of which one at least is none, NaN for the kind of which there are fewer."""
    is_date = np.array([_dates(times[row : row + 1]) is not None for row in range(len(times))])
    if is_date.any():
        return np.where(is_date == (2 * is_date.sum() > len(times)), 0.0, np.nan)
    where = f"{table.path}: column {wanted.time!r}"
    rows = enumerate(times.tolist())
    try:
        return np.array([parse_numbers([text], f"{where}: {table.row(row)}")[0] for row, text in rows])
    except UserError as error:
        raise UserError(f"{error}, or a date as in 2024-02-29T12:00:00") from None


def _whole_numbers(times: Array) -> Array | None:
    """Return whole numbers as int64 [rows], which tells nanoseconds apart; None if one is none, or is too large."""
    digits = "".join(times.tolist()).replace("-", "")
    if not (digits.isascii() and digits.isdecimal()):
        return None
    try:
        return times.astype(np.int64)
    except (ValueError, OverflowError):
        return None


def _dates(times: Array) -> Array | None:
    """Return dates as nanoseconds since 1970, int64 [rows]; None if one is none.

    Before 1678 and after 2262 it is microseconds.
    """
    if times[0].lower() in MISSING or times[0].replace(".", "", 1).removeprefix("-").isdigit():
        return None
    try:
        dates = [datetime.fromisoformat(text) for text in times]
    except ValueError:
        return None
    microseconds = [((date if date.tzinfo else date.replace(tzinfo=UTC)) - EPOCH) // MICROSECOND for date in dates]
    rest = [int(f"{match[1]:0<3}") if (match := NANOSECONDS.search(text)) else 0 for text in times.tolist()]
    try:
        return np.array([1000 * time + each for time, each in zip(microseconds, rest, strict=True)], np.int64)
    except OverflowError:
        return np.array(microseconds)
