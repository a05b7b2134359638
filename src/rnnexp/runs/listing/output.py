"""Tables: drawn on a terminal, text separated by tabs in a pipe, or JSON."""

import json
import sys
from collections.abc import Callable, Mapping, Sequence

from rnnexp.core.files.bounded import without_infinities
from rnnexp.core.printable import mask_secrets, printable
from rnnexp.core.types import Primitive
from rnnexp.tracking.status import Status
from rnnexp.tracking.summary import format_number

Record = Mapping[str, Primitive]
Columns = Mapping[str, Callable[[Record], str]]
"""Title of a column on a terminal -> the function that makes its text from a record."""
UNITS = ((86400, "d"), (3600, "h"), (60, "min"))
NARROW = ("status", "age")
"""Columns that are not folded where the terminal is narrow."""


def write_table(records: Sequence[Record], columns: Columns, names: Sequence[str], *, as_json: bool) -> None:
    """Write records to standard output.

    Args:
        records: the rows, each with every name.
        columns: the columns on a terminal.
        names: the names of the columns in a pipe.
        as_json: write a list of objects.
    """
    if as_json:
        write_json(list(records))
    elif sys.stdout.isatty():
        _draw(mask_secrets(records), columns)
    else:
        rows = ("\t".join(printable(_as_field(record[name])) for name in names) for record in mask_secrets(records))
        print("\n".join(["\t".join(names), *rows]))


def write_json(value: object) -> None:
    """Write a value as JSON: null replaces NaN and infinity, and characters outside of ASCII are escaped."""
    print(json.dumps(mask_secrets(without_infinities(value)), indent=1))


def _draw(records: Sequence[Record], columns: Columns) -> None:
    # Imported here, since text in a pipe does not need it.
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in columns:
        table.add_column(title, no_wrap=title in NARROW, overflow="fold")
    for record in records:
        style = _style(record.get("status"))
        cells = [printable(make(record)) for make in columns.values()]
        table.add_row(
            *(Text(cell, style if title == "status" else "") for title, cell in zip(columns, cells, strict=True))
        )
    Console().print(table)


def _style(status: Primitive) -> str:
    if status == Status.DONE:
        return "green"
    return "cyan" if status in (Status.QUEUED, Status.RUNNING) else "red"


def format_age(seconds: Primitive) -> str:
    """Return a number of seconds in its largest unit: `40 s`, `5 min`, `3 h`, `12 d`; empty for None."""
    if not isinstance(seconds, int | float):
        return ""
    return next((f"{seconds // size:.0f} {unit}" for size, unit in UNITS if seconds >= size), f"{seconds:.0f} s")


def format_value(value: Primitive) -> str:
    """Return a fraction as `format_number` does, and any other value as it is; empty for None."""
    return format_number(value) if isinstance(value, float) else _as_field(value)


def _as_field(value: Primitive) -> str:
    return "" if value is None else str(value)
