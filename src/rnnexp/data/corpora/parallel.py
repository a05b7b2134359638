"""The user's own corpus: text files, any two languages."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rnnexp.data.text.parallel_text import CorpusContent, ParallelText, read_aligned, read_tsv


class ParallelFiles:
    """Text files of one split each, UTF-8, plain or `.gz`.

    Args:
        source_lang, target_lang: the languages, in whatever words the user has for them.
        files: of each split, the path of one file with a tab between a sentence and its translation, or of two files
            of which line n of one translates line n of the other.

    Raises:
        ValueError: if a split has no files, or more than two.
    """

    name = "parallel"

    def __init__(self, source_lang: str, target_lang: str, files: Mapping[str, str | Sequence[str] | None]) -> None:
        self.source_lang, self.target_lang = source_lang, target_lang
        self.files: dict[str, list[Path]] = {}
        for split, given in files.items():
            paths = [given] if isinstance(given, str) else list(given or [])
            if not 1 <= len(paths) <= 2:
                raise ValueError(
                    f"data.{split} names {len(paths)} files: give one with a tab between a sentence and its "
                    f"translation, data.{split}=FILE, or two aligned ones, data.{split}=[SOURCE,TARGET]"
                )
            self.files[split] = [Path(path).expanduser() for path in paths]

    def prepare(self) -> None:
        """Nothing is fetched."""

    def read(self) -> CorpusContent:
        """All sentence pairs.

        Raises:
            UserError: if a file cannot be read, is empty, is not UTF-8 or does not fit its partner, with the line.
        """
        splits: dict[str, ParallelText] = {
            split: read_tsv(*paths) if len(paths) == 1 else read_aligned(*paths) for split, paths in self.files.items()
        }
        details = {f"files/{split}": ", ".join(map(str, paths)) for split, paths in self.files.items()}
        return CorpusContent(splits, details)
