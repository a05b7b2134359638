"""What a team of finished runs makes of sentences: translations, and what is to be said of them."""

import shutil
import sys
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import TextIO

from omegaconf import DictConfig

from rnnexp.core.validation import require_positive, validate_choice
from rnnexp.decoding import require_search
from rnnexp.plots.terminal import LEAST_WIDTH, attention_text
from rnnexp.runs.build import config_errors
from rnnexp.tasks.translation.translator import TranslatedSentence
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.translate.ensemble import Team
from rnnexp.translate.io import Sentences, require_place, write_utf8
from rnnexp.translate.progress import Advance, progress

ACCELERATORS = ("auto", "cpu", "gpu")
# A byte-pair model can write any byte. One that ends a line or a column becomes a space, so that rows stay rows.
SPACES = str.maketrans("\n\r\t", "   ")


def require_sound_search(config: DictConfig) -> None:
    """Raises UserError for settings with which nothing could be translated, before anything is read."""
    with config_errors("search"):
        # What is null is the run's, and was checked there; the n best are checked against its beam when it is known.
        require_positive(n_best=config.n_best)
        beam_size = config.n_best if config.beam_size is None else config.beam_size
        require_search(beam_size, config.n_best, 0 if config.length_penalty is None else config.length_penalty)
        require_positive(batch_size=config.batch_size)
        if config.max_length is not None:
            require_positive(max_length=config.max_length)
        for key in ("scores", "attention"):
            if config[key] not in (True, False):
                raise ValueError(f"{key} must be true or false, not {config[key]!r}")
        validate_choice("accelerator", config.accelerator, ACCELERATORS)
    if config.output is not None:
        require_place(Path(str(config.output)).expanduser(), config.input)


def translate_all(config: DictConfig, team: Team, sentences: Sentences, output: TextIO) -> None:
    """Writes the translations of all sentences in their order; on standard error what is to be said of them.

    Args:
        config: `batch_size`, and what is written of each sentence: `n_best`, `scores`, `attention`.
        team: who translates.
        sentences: one that somebody typed is a batch of its own.
        output: complete after every batch.

    Raises:
        UserError: where `sentences` does.
    """
    in_rows = config.scores or config.n_best > 1
    maps = AttentionMaps(team.members[0].run) if config.attention else None
    remarks = Remarks(team.longest)
    if sentences.interactive:
        print(f"{team.languages}, a sentence a line; Ctrl-D ends", file=sys.stderr)
    number = 0
    with _progress(sentences, output) as advance:
        while batch := list(islice(sentences.lines, 1 if sentences.interactive else config.batch_size)):
            for sentence, translated in zip(
                batch, team.translator.translate(batch, align=config.attention), strict=True
            ):
                number += 1
                output.write(rows(number, translated) if in_rows else line(translated))
                remarks.count(translated)
                if maps is not None:
                    maps.show(number, sentence.strip(), translated)
            output.flush()
            advance(len(batch))
            if sentences.interactive:
                remarks.tell()
    remarks.tell()


def _progress(sentences: Sentences, output: TextIO) -> AbstractContextManager[Advance]:
    # On a terminal the translations themselves show how far it is, and a bar would tear them apart.
    if sentences.interactive or (output.isatty() and sys.stderr.isatty()):
        return nullcontext(lambda _number: None)
    return progress(sentences.total)


def line(translated: TranslatedSentence) -> str:
    """The best translation."""
    return f"{translated.candidates[0].text.translate(SPACES)}\n"


def rows(number: int, translated: TranslatedSentence) -> str:
    """A row for each candidate, the best first: number of the line, score and translation, with tabs between them."""
    return "".join(f"{number}\t{each.score:.4f}\t{each.text.translate(SPACES)}\n" for each in translated.candidates)


@dataclass
class Remarks:
    """What a person should know before relying on the translations."""

    longest: int | None
    """tokens of the longest sentences in training"""
    num_long: int = 0
    num_unknown: int = 0

    def count(self, translated: TranslatedSentence) -> None:
        """Notes what is unusual about a sentence."""
        num_tokens = len(translated.tokens) - 1
        self.num_long += self.longest is not None and num_tokens > self.longest
        self.num_unknown += 0 < num_tokens == translated.num_unknown

    def tell(self) -> None:
        """Says on standard error what was noted since it was last said."""
        if self.num_long:
            print(
                f"rnnexp: warning: {_sentences(self.num_long)} more than data.max_length={self.longest} tokens, longer "
                "than any in training: the translation may be poor",
                file=sys.stderr,
            )
        if self.num_unknown:
            print(
                f"rnnexp: warning: {_sentences(self.num_unknown)} no word that the vocabulary knows: the translation "
                "is a guess",
                file=sys.stderr,
            )
        self.num_long = self.num_unknown = 0


def _sentences(number: int) -> str:
    return "1 sentence has" if number == 1 else f"{number:,} sentences have"


class AttentionMaps:
    """Where the decoder looked: as text on standard output, and as pictures in the directory of a run.

    Raises:
        OSError: if the directory cannot be made.
    """

    def __init__(self, run: RunDirectory) -> None:
        self.directory = run.path / "translations" / f"{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S-%f}"
        self.directory.mkdir(parents=True)
        write_utf8(sys.stdout)
        print(f"attention maps of each sentence: {self.directory}", file=sys.stderr)

    def show(self, number: int, sentence: str, translated: TranslatedSentence) -> None:
        """Prints and draws the map of the best translation; of a sentence without words there is none."""
        # They take a while to import.
        from rnnexp.plots.style import save_figure
        from rnnexp.plots.translation import attention_map

        best = translated.candidates[0]
        if translated.weights is None:
            return
        width = max(LEAST_WIDTH, shutil.get_terminal_size().columns)
        print(attention_text(translated.tokens, best.tokens, translated.weights, width) + "\n")
        figure = attention_map(translated.tokens, best.tokens, translated.weights, sentence)
        save_figure(figure, self.directory / f"{number:03d}.png")
