"""The input and output of sentences: files, pipes and a terminal, in UTF-8 with every locale."""

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import written_atomically
from rnnexp.core.validation import did_you_mean_path
from rnnexp.data.files.compressed import BadFileError, other_format, read_content, read_head
from rnnexp.data.text.parallel_text import split_lines
from rnnexp.tracking.translations_file import read_translations

PROMPT = "> "


@dataclass(frozen=True)
class Sentences:
    """The sentences to translate, in order.

    Args:
        lines: one sentence each.
        total: the number of lines; None where it is unknown.
        interactive: whether a person types the lines and waits for each translation.
    """

    lines: Iterator[str]
    total: int | None = None
    interactive: bool = False


def open_sentences(path: Path | None) -> Sentences:
    """Return the lines of a file, which is read at once, or of standard input, which is read as it arrives.

    Args:
        path: the file, plain or compressed; None for standard input, with a prompt on a terminal. Of the file of a
            run with the translations of its test set, .jsonl, the lines are its sources.

    Raises:
        UserError: for a file that cannot be read, text that is not UTF-8 (in a pipe: when the line is reached), and a
            standard input that is closed.
    """
    if path is not None:
        lines = _file_lines(path)
        return Sentences(iter(lines), total=len(lines))
    if sys.stdin is None:  # Python's value for a closed standard input
        raise UserError("standard input is closed: give it sentences, or input=FILE")
    if sys.stdin.isatty():
        return Sentences(_typed_lines(sys.stdin.buffer), interactive=True)
    return Sentences(_piped_lines(sys.stdin.buffer))


def _sources(path: Path) -> list[str]:
    """Return the sources of the file of a run with the translations of its test set."""
    try:
        return [str(row["source"]) for row in read_translations(path)]
    except KeyError:
        raise UserError(f"input {path}: a row has no source: name the test_translations.jsonl of a run") from None


def _file_lines(path: Path) -> list[str]:
    if not path.exists():
        raise UserError(f"input {path} is missing{did_you_mean_path(path)}")
    if path.suffix == ".jsonl":
        return _sources(path)
    try:
        if other := None if path.is_fifo() else other_format(read_head(path)):
            raise UserError(f"input {path}: is {other}, not text: name a file with one sentence a line")
        return split_lines(bytes(read_content(path)), str(path))
    except BadFileError as error:
        raise UserError(f"input {error}: replace it") from None


def _piped_lines(stream: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(stream, start=1):
        try:
            yield line.decode().replace("\ufeff", "")
        except UnicodeDecodeError as error:
            raise UserError(
                f"standard input: line {number:,}: not UTF-8 (byte 0x{line[error.start]:02x}): convert it to UTF-8"
            ) from None


def _typed_lines(stream: BinaryIO) -> Iterator[str]:
    while True:
        # The prompt goes to standard error, since standard output holds translations only.
        print(PROMPT, end="", file=sys.stderr, flush=True)
        line = stream.readline()
        if not line:
            print(file=sys.stderr)
            return
        # A byte that is not UTF-8 becomes an unknown character instead of an error that would end the session.
        yield line.decode(errors="replace")


def require_writable(output: Path, source: Path | None) -> None:
    """Raise UserError for an output path where no file can be written, and for the input file itself."""
    if source is not None and output.resolve() == source.resolve():
        raise UserError(f"output {output} is the input file and would overwrite it: name another")
    if not output.parent.is_dir():
        raise UserError(f"output {output}: {output.parent} is not a directory")
    # A device or a pipe would be replaced by a file.
    if output.exists() and not output.is_file():
        raise UserError(f"output {output} exists and is not a file: name a file")


@contextmanager
def open_translations(path: Path | None) -> Iterator[TextIO]:
    """Open the output: a file that is written completely or not at all, or standard output for None."""
    if path is None:
        write_utf8(sys.stdout)
        yield sys.stdout
        sys.stdout.flush()
        return
    # The target of a link is replaced, not the link.
    with written_atomically(path.resolve()) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        try:
            yield text
        finally:
            text.detach()


def write_utf8(stream: TextIO) -> None:
    """Make a standard stream write UTF-8 and line feeds."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", newline="\n")


@contextmanager
def handle_broken_pipe(sentences: Sentences) -> Iterator[None]:
    """End the process without a message when the reader of standard output closes it, and on Ctrl-C at a prompt."""
    try:
        yield
    except BrokenPipeError:
        # Python flushes standard output once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        if not sentences.interactive:
            raise
        print(file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
