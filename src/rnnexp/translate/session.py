"""A translation session, which translates sentences and prints warnings and progress to standard error."""

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TextIO

from rnnexp.core.progress import Progress
from rnnexp.plots.terminal import LEAST_WIDTH, attention_text
from rnnexp.tasks.translation.translator import MAX_SOURCE_TOKENS, TranslatedSentence
from rnnexp.tracking.run_directory import time_stamp
from rnnexp.translate.ensemble import RunEnsemble
from rnnexp.translate.io import Sentences, write_utf8
from rnnexp.translate.options import Options

SECONDS_BETWEEN_LINES = 10.0
# A byte-pair model can produce any byte. Bytes that would end a line or a column are replaced by spaces.
SPACES = str.maketrans("\n\r\t", "   ")


def translate_all(ensemble: RunEnsemble, sentences: Sentences, output: TextIO, options: Options) -> None:
    """Write the translations of all sentences in their order, and warnings to standard error.

    Args:
        ensemble: the runs that translate.
        sentences: the sentences, read batch by batch; each line that a person types is one batch.
        output: the stream of translations, flushed after every batch.
        options: the options of the session.

    Raises:
        UserError: for a line that is not UTF-8.
    """
    in_rows = options.scores or options.n_best > 1
    maps = AttentionMaps(ensemble.members[0].run.translations) if options.attention else None
    doubts = Doubts(ensemble.max_length)
    if sentences.interactive:
        print(f"{ensemble.languages}, one sentence per line; Ctrl-D ends", file=sys.stderr)
    number = 0
    with show_progress(sentences, output) as advance:
        while batch := list(islice(sentences.lines, 1 if sentences.interactive else options.batch_size)):
            translations = ensemble.translator.translate(batch, align=options.attention)
            for sentence, translated in zip(batch, translations, strict=True):
                number += 1
                output.write(format_rows(number, translated) if in_rows else format_line(translated))
                doubts.count(translated)
                if maps is not None:
                    maps.show(number, sentence.strip(), translated)
            output.flush()
            advance(len(batch))
            if sentences.interactive:
                doubts.warn()
    doubts.warn()


@contextmanager
def show_progress(sentences: Sentences, output: TextIO) -> Iterator[Callable[[int], None]]:
    """Show the progress on standard error, unless the translations appear on the same terminal.

    Yields:
        A function to call with the number of sentences just translated.
    """
    has_terminal = sys.stderr.isatty()
    if sentences.interactive or (has_terminal and output.isatty()):
        yield lambda _number: None
        return
    with Progress(
        "translating",
        sentences.total,
        "sentences",
        patience_seconds=0.0 if has_terminal else SECONDS_BETWEEN_LINES,
        interval_seconds=SECONDS_BETWEEN_LINES,
        write_line=lambda text: print(text, file=sys.stderr, flush=True),
    ) as progress:
        yield progress.advance


def format_line(translated: TranslatedSentence) -> str:
    """Return the best translation as a line."""
    return f"{translated.candidates[0].text.translate(SPACES)}\n"


def format_rows(number: int, translated: TranslatedSentence) -> str:
    """Return one row per candidate, the best first: line number, score and translation, separated by tabs."""
    return "".join(
        f"{number}\t{candidate.score:.4f}\t{candidate.text.translate(SPACES)}\n" for candidate in translated.candidates
    )


@dataclass
class Doubts:
    """A counter of sentences whose translation is doubtful.

    Args:
        max_length: the length of the longest training sentence in tokens; None if unknown.
    """

    max_length: int | None
    num_long: int = 0
    num_cut: int = 0
    num_unknown: int = 0

    def count(self, translated: TranslatedSentence) -> None:
        """Count a sentence if it is longer than any in training, was cut, or has no known token."""
        num_tokens = len(translated.tokens) - 1
        self.num_long += self.max_length is not None and num_tokens > self.max_length
        self.num_cut += translated.is_cut
        self.num_unknown += 0 < num_tokens == translated.num_unknown

    def warn(self) -> None:
        """Print a warning for each kind counted since the last call."""
        if self.num_long:
            print(
                f"rnnexp: warning: {_sentences(self.num_long)} more than data.max_length={self.max_length} tokens, "
                "longer than any in training: the translation may be poor",
                file=sys.stderr,
            )
        if self.num_cut:
            print(
                f"rnnexp: warning: {_sentences(self.num_cut)} more than {MAX_SOURCE_TOKENS:,} tokens, of which only "
                "the first are translated: divide the text into sentences",
                file=sys.stderr,
            )
        if self.num_unknown:
            print(
                f"rnnexp: warning: {_sentences(self.num_unknown)} no word of the vocabulary: the translation "
                "is a guess",
                file=sys.stderr,
            )
        self.num_long = self.num_cut = self.num_unknown = 0


def _sentences(number: int) -> str:
    return "1 sentence has" if number == 1 else f"{number:,} sentences have"


class AttentionMaps:
    """A writer of attention maps, as text on standard output and as figures.

    Args:
        parent: the directory in which a new directory is created, named by the current time.

    Raises:
        OSError: if the directory cannot be created.
    """

    def __init__(self, parent: Path) -> None:
        self.directory = parent / time_stamp(datetime.now().astimezone())
        self.directory.mkdir(parents=True)
        write_utf8(sys.stdout)
        print(f"attention maps of each sentence: {self.directory}", file=sys.stderr)

    def show(self, number: int, sentence: str, translated: TranslatedSentence) -> None:
        """Print and save the map of the best translation, if the sentence has words.

        Args:
            number: the line number of the sentence, which is the name of the file.
            sentence: the title of the figure.
            translated: the translations, with attention weights unless the sentence is empty.
        """
        # matplotlib takes a second to import.
        from rnnexp.plots.style import save_figure
        from rnnexp.tasks.translation.plots import attention_map

        best = translated.candidates[0]
        if translated.weights is None:
            return
        width = max(LEAST_WIDTH, shutil.get_terminal_size().columns)
        print(attention_text(translated.tokens, best.tokens, translated.weights, width) + "\n")
        figure = attention_map(translated.tokens, best.tokens, translated.weights, sentence)
        save_figure(figure, self.directory / f"{number:03d}.png")
