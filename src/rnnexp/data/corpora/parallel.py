"""A user's own corpus: text files in any two languages."""

from collections.abc import Sequence
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.core.validation import expand_home, require_positive
from rnnexp.data.text.parallel_text import CorpusContent, ParallelText, read_aligned
from rnnexp.data.text.tsv import Columns, read_tsv

Files = str | Sequence[str] | None
"""One file with a tab between a sentence and its translation, or two files, where line n of the second translates line
n of the first."""


class ParallelFiles:
    """A corpus of text files, one or two for each split, UTF-8, plain or compressed with gzip, bzip2 or xz.

    Args:
        source_lang, target_lang: the user's names of the languages.
        train, val, test: the files of each split.
        columns: the two columns of files with more than two, see `rnnexp.data.text.tsv.Columns`.
        max_line_bytes: the bound of a line.

    Raises:
        ValueError: if a split has no files or more than two, or a value is of another kind.
    """

    name = "parallel"

    def __init__(
        self,
        *,
        source_lang: str,
        target_lang: str,
        train: Files,
        val: Files,
        test: Files,
        columns: Columns,
        max_line_bytes: int,
    ) -> None:
        require_positive(max_line_bytes=max_line_bytes)
        for key, language in (("source_lang", source_lang), ("target_lang", target_lang)):
            if not isinstance(language, str) or not language:
                raise ValueError(
                    f"data.{key} must be text, not {language!r}: YAML reads no as False, so write '\"no\"'"
                )
        require_columns(columns)
        self.source_lang, self.target_lang = source_lang, target_lang
        self.columns, self.max_line_bytes = columns, max_line_bytes
        self.files = {
            split: find_paths(split, files) for split, files in (("train", train), ("val", val), ("test", test))
        }

    def prepare(self) -> None:
        """Do nothing: these files are not fetched."""

    def read(self) -> CorpusContent:
        """Read all sentence pairs.

        Raises:
            UserError: if a file cannot be read, is empty, is not UTF-8 or is not aligned, with the line.
        """
        splits = {split: self._read(split, *paths) for split, paths in self.files.items()}
        details = {f"files/{split}": ", ".join(map(str, paths)) for split, paths in self.files.items()}
        return CorpusContent(splits, details)

    def _read(self, split: str, source: Path, target: Path | None = None) -> ParallelText:
        if target is None:
            text = read_tsv(source, self.columns, (self.source_lang, self.target_lang), self.max_line_bytes)
        else:
            text = read_aligned(source, target, self.max_line_bytes)
        if list(text.sources) == list(text.targets):
            raise UserError(
                f"data.{split}: the sentences of {source} and their translations"
                f"{'' if target is None else f' in {target}'} are the same text: name the two languages"
            )
        return text


def find_paths(split: str, files: Files) -> list[Path]:
    """Return the one or two paths of a split. Raise ValueError for another number, or a value that is no path."""
    names = [files] if isinstance(files, str) else files or []
    if not isinstance(names, Sequence) or not all(isinstance(name, str) for name in names):
        raise ValueError(f"data.{split}={files!r} names no files: give data.{split}=FILE or [SOURCE,TARGET]")
    if not 1 <= len(names) <= 2:
        raise ValueError(
            f"data.{split} names {len(names)} files: give one with a tab between a sentence and its "
            f"translation, data.{split}=FILE, or two aligned ones, data.{split}=[SOURCE,TARGET]"
        )
    return [expand_home(name) for name in names]


def require_columns(columns: Columns) -> None:
    """Raise ValueError unless these are two different numbers from 1 on, two different names, or None."""
    if columns is None:
        return
    values = [] if isinstance(columns, str) or not isinstance(columns, Sequence) else list(columns)
    are_names = all(isinstance(value, str) for value in values)
    are_numbers = all(type(value) is int and value > 0 for value in values)
    if len(set(values)) != 2 or len(values) != 2 or not (are_names or are_numbers):
        raise ValueError(
            f"data.columns must be two numbers from 1 on or two names, as [1,3] or [en,de], not {columns!r}"
        )
