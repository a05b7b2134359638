"""Sentences and their translations: the content of a corpus, and readers of text files."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rnnexp.core.errors import UserError
from rnnexp.core.types import Primitive
from rnnexp.core.validation import validate_choice
from rnnexp.data.files.compressed import BadFileError, read_content

SPLITS = ("train", "val", "test")


@dataclass(frozen=True)
class ParallelText:
    """Aligned, unprocessed sentences, without white space at their ends.

    Raises:
        ValueError: if the columns differ in length.
    """

    sources: Sequence[str]
    targets: Sequence[str]
    tags: Mapping[str, Sequence[str | int]] = field(default_factory=dict)
    """further values of each pair, by name: `phenomenon`, `distance`"""

    def __post_init__(self) -> None:
        sizes = {"sources": len(self.sources), "targets": len(self.targets)}
        sizes |= {name: len(values) for name, values in self.tags.items()}
        if len(set(sizes.values())) > 1:
            raise ValueError(f"columns of different lengths: {sizes}")

    def __len__(self) -> int:
        """Return the number of sentence pairs."""
        return len(self.sources)


@dataclass(frozen=True)
class CorpusContent:
    """All sentence pairs of a corpus."""

    splits: Mapping[str, ParallelText]
    """the text of each of SPLITS"""
    details: Mapping[str, Primitive]
    """further values that identify the corpus, for the record of a run"""

    def digest(self, *splits: str) -> str:
        """Return the SHA-256 over every sentence of the splits, by default of all splits, in order."""
        digest = hashlib.sha256()
        for split in splits or SPLITS:
            for sentences in (self.splits[split].sources, self.splits[split].targets):
                digest.update(f"{split} {len(sentences)}\n".encode())
                digest.update("\n".join(sentences).encode())
        return digest.hexdigest()


class Corpus(Protocol):
    """A source of sentence pairs."""

    name: str
    source_lang: str
    """the language to translate from"""
    target_lang: str
    """the language to translate into"""

    def prepare(self) -> None:
        """Fetch missing files. Raise UserError, with instructions, if they cannot be fetched."""

    def read(self) -> CorpusContent:
        """Read all sentence pairs. Raise UserError for a file that is damaged or has another format."""


def validate_languages(corpus: str, source_lang: str, target_lang: str, languages: Mapping[str, str]) -> None:
    """Raise ValueError unless the two are different languages of a corpus."""
    for key, language in (("source_lang", source_lang), ("target_lang", target_lang)):
        validate_choice(f"data.{key} of {corpus}", language, languages)
    if source_lang == target_lang:
        raise ValueError(
            f"data.source_lang and data.target_lang are both {source_lang!r}: choose two of {', '.join(languages)}"
        )


def read_lines(path: Path) -> list[str]:
    """Return the lines of a UTF-8 text file, uncompressed if its name ends in `.gz`.

    Only a line feed ends a line, since other line separators of Unicode occur in sentences of published corpora.

    Raises:
        UserError: if it cannot be read, is empty or is not UTF-8, with the line.
    """
    try:
        content = bytes(read_content(path))
    except BadFileError as error:
        raise UserError(f"{error}: replace it") from error
    lines = split_lines(content, str(path))
    if not lines:
        raise UserError(f"{path}: is empty: it needs one sentence a line")
    return lines


def split_lines(content: bytes | bytearray, where: str) -> list[str]:
    """Return the lines of UTF-8 text; see `read_lines`.

    Raises:
        UserError: naming `where` and the line, if it is not UTF-8.
    """
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise UserError(
            f"{where}: line {line:,}: not UTF-8 (byte 0x{content[error.start]:02x}): convert the file to UTF-8"
        ) from error
    return text.removesuffix("\n").split("\n") if text else []


def read_aligned(source: Path, target: Path) -> ParallelText:
    """Read two text files, where line n of the second translates line n of the first.

    Raises:
        UserError: if they have different numbers of lines; see also `read_lines`.
    """
    sources, targets = read_lines(source), read_lines(target)
    if len(sources) != len(targets):
        longer, shorter = (source, target) if len(sources) > len(targets) else (target, source)
        raise UserError(
            f"{source} has {len(sources):,} lines, but {target} {len(targets):,}: line "
            f"{min(len(sources), len(targets)) + 1:,} of {longer.name} has no partner in {shorter.name}: align the two"
        )
    return ParallelText([line.strip() for line in sources], [line.strip() for line in targets])


def read_tsv(path: Path) -> ParallelText:
    """Read a text file of two columns, separated by a tab: the sentence and its translation. More columns are ignored.

    Raises:
        UserError: naming the line that has only one column; see also `read_lines`.
    """
    rows = [line.split("\t") for line in read_lines(path)]
    for number, row in enumerate(rows, start=1):
        if len(row) < 2:
            raise UserError(f"{path}: line {number:,}: has no tab between a sentence and its translation: add it")
    return ParallelText([row[0].strip() for row in rows], [row[1].strip() for row in rows])
