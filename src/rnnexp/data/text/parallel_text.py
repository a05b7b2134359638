"""Sentences and their translations: the content of a corpus, and readers of text files."""

import codecs
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from rnnexp.core.errors import UserError
from rnnexp.core.types import Primitive
from rnnexp.core.validation import did_you_mean_path, validate_choice
from rnnexp.data.files.compressed import BadFileError, other_format, read_chunks, read_head

SPLITS = ("train", "val", "test")
MAX_LINE_BYTES = 1_000_000


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


def read_lines(path: Path, max_line_bytes: int = MAX_LINE_BYTES) -> list[str]:
    """Return the lines of a text file, uncompressed: UTF-8, or UTF-16 or UTF-32 with a byte order mark.

    Only a line feed ends a line, since other line separators of Unicode occur in sentences of published corpora.

    Args:
        path: the file.
        max_line_bytes: the bound of a line; no more than that is read of a longer one.

    Raises:
        UserError: if it cannot be read, is empty, is not such text or has a longer line, with the line.
    """
    if path.is_dir() or not path.exists():
        what = "is a directory" if path.is_dir() else f"there is no such file{did_you_mean_path(path)}"
        raise UserError(f"{path}: {what}: name a text file")
    if not path.is_file():
        raise UserError(
            f"{path}: is a pipe or a device, which can be read only once, and a run reads its files again when it is "
            "continued or evaluated: write the text to a file"
        )
    try:
        if other := other_format(read_head(path)):
            raise UserError(f"{path}: is {other}, not text: name a file with one sentence a line")
        content = _read_bounded_lines(path, max_line_bytes)
    except BadFileError as error:
        raise UserError(f"{error}: replace it") from error
    lines = split_lines(content, str(path))
    if not lines:
        raise UserError(f"{path}: is empty: it needs one sentence a line")
    return lines


def _read_bounded_lines(path: Path, max_line_bytes: int) -> bytearray:
    content = bytearray()
    line_start = 0
    for chunk in read_chunks(path):
        content += chunk
        # The longest line is looked for in each part, so that a file of one line is refused after the first part.
        while (line_end := content.find(b"\n", line_start)) >= 0 and line_end - line_start <= max_line_bytes:
            line_start = line_end + 1
        if max(line_end, len(content)) - line_start > max_line_bytes:
            number = content.count(b"\n", 0, line_start) + 1
            raise UserError(
                f"{path}: line {number:,}: has more than data.max_line_bytes={max_line_bytes:,} bytes: "
                "divide it into sentences"
            )
    return content


ENCODINGS: Mapping[bytes, str] = {
    codecs.BOM_UTF8: "utf-8-sig",
    codecs.BOM_UTF32_LE: "utf-32",  # before UTF-16, whose mark it begins with
    codecs.BOM_UTF32_BE: "utf-32",
    codecs.BOM_UTF16_LE: "utf-16",
    codecs.BOM_UTF16_BE: "utf-16",
}
"""The encoding that each byte order mark stands for."""


def split_lines(content: bytes | bytearray, where: str) -> list[str]:
    """Return the lines of text; see `read_lines`. Byte order marks, at the start or inside, are left out.

    Raises:
        UserError: naming `where` and the line, if it is not such text.
    """
    encoding = next((name for mark, name in ENCODINGS.items() if content.startswith(mark)), "utf-8")
    try:
        text = content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        name = encoding.removesuffix("-sig").upper()
        raise UserError(
            f"{where}: line {line:,}: not {name} (byte 0x{content[error.start]:02x}): convert the file to UTF-8"
        ) from error
    # A mark inside comes from files or columns that were put together. It is invisible, and would be part of a word.
    lines = text.replace("\ufeff", "").removesuffix("\n").split("\n") if text else []
    if "\0" in text:
        number = next(number for number, line in enumerate(lines, start=1) if "\0" in line)
        raise UserError(
            f"{where}: line {number:,}: has a NUL byte, as in UTF-16 without a byte order mark or in a file that is no "
            "text: convert the file to UTF-8"
        )
    if "\r" in text:
        _refuse_carriage_returns(lines, where)
    return lines


def _refuse_carriage_returns(lines: Sequence[str], where: str) -> None:
    """Raise UserError for a carriage return within a line; those at its end belong to the line end of Windows."""
    for number, line in enumerate(lines, start=1):
        if "\r" in line.rstrip("\r"):
            raise UserError(
                f"{where}: line {number:,}: has a carriage return inside, the line end of old Mac files: convert the "
                "line ends, for example with tr '\\r' '\\n'"
            )


def read_aligned(source: Path, target: Path, max_line_bytes: int = MAX_LINE_BYTES) -> ParallelText:
    """Read two text files, where line n of the second translates line n of the first.

    Raises:
        UserError: if they have different numbers of lines; see also `read_lines`.
    """
    sources, targets = read_lines(source, max_line_bytes), read_lines(target, max_line_bytes)
    if len(sources) != len(targets):
        longer, shorter = (source, target) if len(sources) > len(targets) else (target, source)
        raise UserError(
            f"{source} has {len(sources):,} lines, but {target} {len(targets):,}: line "
            f"{min(len(sources), len(targets)) + 1:,} of {longer.name} has no partner in {shorter.name}: align the two"
        )
    return ParallelText([line.strip() for line in sources], [line.strip() for line in targets])
