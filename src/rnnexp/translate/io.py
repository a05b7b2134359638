"""Sentences in, translations out: files, pipes and a terminal; UTF-8, whatever the locale says."""

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, TextIO

from rnnexp.core.atomic_files import written_atomically
from rnnexp.core.errors import UserError
from rnnexp.core.validation import did_you_mean
from rnnexp.data.files.compressed import BadFileError, decompress
from rnnexp.data.text.parallel_text import split_lines

PROMPT = "> "


@dataclass(frozen=True)
class Sentences:
    """What is to be translated, in order."""

    lines: Iterator[str]
    total: int | None = None
    """Known of a file alone."""
    interactive: bool = False
    """Somebody types them, and waits for each."""


def open_sentences(place: str | None) -> Sentences:
    """The lines of a file, which is read at once, or of standard input, which is read as it comes.

    Args:
        place: the file, uncompressed if its name ends in `.gz`; None for standard input, with a prompt on a terminal.

    Raises:
        UserError: for a file that cannot be read, text that is not UTF-8 (of a pipe when the line is reached), and a
            standard input that is closed.
    """
    if place is not None:
        lines = _file_lines(Path(str(place)).expanduser())
        return Sentences(iter(lines), total=len(lines))
    if sys.stdin is None:  # as Python has it where it was closed
        raise UserError("standard input is closed: give it sentences, or input=FILE")
    if sys.stdin.isatty():
        return Sentences(_typed_lines(sys.stdin.buffer), interactive=True)
    return Sentences(_piped_lines(sys.stdin.buffer))


def _file_lines(path: Path) -> list[str]:
    try:
        content = path.read_bytes()
        return split_lines(decompress(content, str(path)) if path.suffix == ".gz" else content, str(path))
    except FileNotFoundError:
        siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
        raise UserError(f"input {path} is missing{did_you_mean(path.name, siblings)}") from None
    except OSError as error:
        raise UserError(f"input {path} cannot be read ({error.strerror or error})") from None
    except BadFileError as error:
        raise UserError(f"{error}: replace it") from None


def _piped_lines(stream: BinaryIO) -> Iterator[str]:
    for number, line in enumerate(stream, start=1):
        try:
            text = line.decode()
        except UnicodeDecodeError as error:
            raise UserError(
                f"standard input: line {number:,}: not UTF-8 (byte 0x{line[error.start]:02x}): convert it to UTF-8"
            ) from None
        yield text.removeprefix("\ufeff") if number == 1 else text


def _typed_lines(stream: BinaryIO) -> Iterator[str]:
    while True:
        # On standard error: what is sent elsewhere are the translations alone.
        print(PROMPT, end="", file=sys.stderr, flush=True)
        line = stream.readline()
        if not line:
            print(file=sys.stderr)
            return
        # A key that the terminal encodes otherwise is an unknown character, and no reason to end the session.
        yield line.decode(errors="replace")


def require_place(output: Path, source: str | None) -> None:
    """Raises UserError for a place where no file can be written whole, and for the file that is to be translated."""
    if source is not None and output.resolve() == Path(str(source)).expanduser().resolve():
        raise UserError(f"output {output} is the input, which would be lost: name another")
    if not output.parent.is_dir():
        raise UserError(f"output {output}: {output.parent} is not a directory")
    # A device or a pipe would be replaced by a file.
    if output.exists() and not output.is_file():
        raise UserError(f"output {output} is there and is no file: name another, or leave output= out")


@contextmanager
def open_translations(place: str | None) -> Iterator[TextIO]:
    """Where translations are written: a file that is whole or absent, or standard output for None."""
    if place is None:
        write_utf8(sys.stdout)
        yield sys.stdout
        sys.stdout.flush()
        return
    # What a link leads to is replaced, and not the link.
    with written_atomically(Path(str(place)).expanduser().resolve()) as file:
        text = io.TextIOWrapper(file, encoding="utf-8", newline="\n")
        try:
            yield text
        finally:
            text.detach()


def write_utf8(stream: TextIO) -> None:
    """Lets a stream of the process write UTF-8 and line feeds."""
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(encoding="utf-8", newline="\n")


@contextmanager
def quiet_end(sentences: Sentences) -> Iterator[None]:
    """Ends the process without a word where a reader of standard output has had enough, and on Ctrl-C at a prompt."""
    try:
        yield
    except BrokenPipeError:
        # What is still to be flushed as Python ends goes nowhere.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(128 + signal.SIGPIPE)
    except KeyboardInterrupt:
        if not sentences.interactive:
            raise
        print(file=sys.stderr)
        sys.exit(128 + signal.SIGINT)
