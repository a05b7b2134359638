"""Sentence pairs in the columns of a tab-separated file."""

import re
from collections.abc import Sequence
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.core.validation import did_you_mean
from rnnexp.data.text.parallel_text import MAX_LINE_BYTES, ParallelText, read_lines

Columns = Sequence[int | str] | None
"""The columns of the sentence and of its translation: numbers from 1 on, or names in the first line. None for the only
two of a file without names."""
TITLES = frozenset(
    {
        *(
            "src",
            "source",
            "trg",
            "tgt",
            "target",
            "text",
            "sentence",
            "sentence1",
            "sentence2",
            "translation",
            "input",
        ),
        *(
            "reference",
            "output",
            "id",
            "prompt",
            "lang",
            "language",
            "english",
            "german",
            "french",
            "spanish",
            "italian",
        ),
        *("portuguese", "dutch", "czech", "polish", "russian", "chinese", "japanese", "korean", "arabic", "hindi"),
    }
)
"""Words, in lower case, of which names of columns are made, joined by underscores: `src`, `source_text`."""
CODES = frozenset(
    {
        *("ar", "bg", "bn", "ca", "cs", "da", "de", "el", "en", "es", "et", "fa", "fi", "fr", "he", "hi", "hr", "hu"),
        *("is", "it", "ja", "ko", "lt", "lv", "nl", "no", "pl", "pt", "ro", "ru", "sk", "sl", "sr", "sv", "th", "tr"),
        *("uk", "ur", "vi", "zh"),
    }
)
"""Codes of languages, which names of columns may hold as well: `text_en`, `en`. Some are words: `no`, `is`."""
QUOTED = re.compile(r'"(?:[^"]|"")*""(?:[^"]|"")*"')
"""A cell in quotes with doubled quotes inside, as spreadsheets write it."""


def read_tsv(
    path: Path, columns: Columns = None, languages: Sequence[str] = (), max_line_bytes: int = MAX_LINE_BYTES
) -> ParallelText:
    """Read a text file of columns separated by tabs, two of which are the sentence and its translation.

    Args:
        path: the file.
        columns: see `Columns`. With names, the first line is not a pair.
        languages: the names of the languages, which the first line may hold as names of columns.
        max_line_bytes: see `read_lines`.

    Raises:
        UserError: naming the line, if the columns are not those; see also `read_lines`.
    """
    lines = read_lines(path, max_line_bytes)
    rows = [[cell.strip() for cell in line.split("\t")] for line in lines]
    source, target = _indices(rows[0], columns, languages, path)
    is_named = columns is not None and isinstance(columns[0], str)
    num_columns = len(rows[0])
    for number, row in enumerate(rows, start=1):
        if len(row) != num_columns:
            raise UserError(f"{path}: line {number:,}: has {_count(row)}, and line 1 has {num_columns}: correct it")
        if any(QUOTED.fullmatch(row[column]) for column in (source, target)):
            raise UserError(
                f"{path}: line {number:,}: has a cell in quotes with doubled quotes inside, as spreadsheets write it: "
                "export the text without quotes"
            )
    pairs = rows[1:] if is_named else rows
    if not pairs:
        raise UserError(f"{path}: has only the names of columns: it needs one pair a line")
    if all(cell.startswith('"') and cell.endswith('"') and len(cell) > 1 for row in pairs for cell in row if cell):
        raise UserError(f"{path}: every cell is in quotes, as spreadsheets write it: export the text without quotes")
    return ParallelText([row[source] for row in pairs], [row[target] for row in pairs])


def _indices(first: Sequence[str], columns: Columns, languages: Sequence[str], path: Path) -> tuple[int, int]:
    """Return the positions of the two columns in a row, from 0 on."""
    if columns is not None and isinstance(columns[0], str):
        for name in map(str, columns):
            if name not in first:
                raise UserError(
                    f"{path}: line 1: has no column {name!r} of data.columns: it has {', '.join(first)}"
                    f"{did_you_mean(name, first)}"
                )
        return first.index(str(columns[0])), first.index(str(columns[1]))
    source, target = (int(column) - 1 for column in columns or (1, 2))
    if len(first) == 1:
        hint = ": add it"
        if first[0].startswith("{"):
            hint = ", and looks like JSON: write the two with a tab between them"
        elif "," in first[0] and '"' in first[0]:
            hint = ", and looks like CSV: separate the two by a tab"
        raise UserError(f"{path}: line 1: has no tab between a sentence and its translation{hint}")
    if max(source, target) >= len(first):
        raise UserError(f"{path}: line 1: has {_count(first)}: data.columns={list(columns or ())} does not fit")
    titles = [_is_title(first[column], languages, may_be_code=columns is None) for column in (source, target)]
    # Two columns of one name are none.
    if all(titles) and first[source] != first[target]:
        or_pair = ", or data.columns=[1,2] if they are a pair" * (len(first) == 2 and columns is None)
        raise UserError(
            f"{path}: line 1: holds names of columns: choose the two by name, "
            f"data.columns=[{first[source]},{first[target]}]{or_pair}"
        )
    if columns is None and len(first) > 2:
        raise UserError(f"{path}: line 1: has {_count(first)}: choose two of them, as data.columns=[1,{len(first)}]")
    return source, target


def _is_title(cell: str, languages: Sequence[str], *, may_be_code: bool) -> bool:
    words = set(re.split(r"[_ -]", cell.lower()))
    is_made_of_titles = words <= TITLES | CODES and (may_be_code or not words <= CODES)
    return cell.lower() in map(str.lower, languages) or is_made_of_titles


def _count(row: Sequence[str]) -> str:
    return f"{len(row)} column{'s' if len(row) > 1 else ''}"
