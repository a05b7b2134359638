"""A user's own corpus: text files in any two languages."""

from collections.abc import Sequence
from pathlib import Path

from rnnexp.core.validation import expand_home
from rnnexp.data.text.parallel_text import CorpusContent, ParallelText, read_aligned, read_tsv

Files = str | Sequence[str] | None
"""One file with a tab between a sentence and its translation, or two files, where line n of the second translates line
n of the first."""


class ParallelFiles:
    """A corpus of text files, one or two for each split, UTF-8, plain or `.gz`.

    Args:
        source_lang, target_lang: the user's names of the languages.
        train, val, test: the files of each split.

    Raises:
        ValueError: if a split has no files, or more than two.
    """

    name = "parallel"

    def __init__(self, *, source_lang: str, target_lang: str, train: Files, val: Files, test: Files) -> None:
        self.source_lang, self.target_lang = source_lang, target_lang
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
        splits: dict[str, ParallelText] = {
            split: read_tsv(*paths) if len(paths) == 1 else read_aligned(*paths) for split, paths in self.files.items()
        }
        details = {f"files/{split}": ", ".join(map(str, paths)) for split, paths in self.files.items()}
        return CorpusContent(splits, details)


def find_paths(split: str, files: Files) -> list[Path]:
    """Return the one or two paths of a split. Raise ValueError for another number."""
    names = [files] if isinstance(files, str) else list(files or [])
    if not 1 <= len(names) <= 2:
        raise ValueError(
            f"data.{split} names {len(names)} files: give one with a tab between a sentence and its "
            f"translation, data.{split}=FILE, or two aligned ones, data.{split}=[SOURCE,TARGET]"
        )
    return [expand_home(name) for name in names]
