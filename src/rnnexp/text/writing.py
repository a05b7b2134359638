"""The way a language is written: its script, and whether spaces separate its words.

The scripts are told apart by ranges of Unicode, so that nothing depends on the name that a user gives a language.
"""

import re
from collections.abc import Mapping, Sequence
from typing import NamedTuple

SAMPLE_SIZE = 10_000
"""Sentences that are looked at; the others of a larger corpus are skipped."""
LETTER = re.compile(r"[^\W\d_]")
JAPANESE = "Japanese"
SCRIPTS: Mapping[str, re.Pattern[str]] = {
    # Kana alone: text with a share of them is Japanese, whose Han characters are not counted here.
    JAPANESE: re.compile(r"[\u3041-\u3096\u30a1-\u30fa\u31f0-\u31ff\uff66-\uff9d]"),
    "Chinese": re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff]"),
    "Thai": re.compile(r"[\u0e01-\u0e4f]"),
    "Lao": re.compile(r"[\u0e80-\u0ecf]"),
    "Tibetan": re.compile(r"[\u0f40-\u0fbc]"),
    "Burmese": re.compile(r"[\u1000-\u103f\u1050-\u109f\ua9e0-\ua9ff\uaa60-\uaa7f]"),
    "Khmer": re.compile(r"[\u1780-\u17d3]"),
    "Tai": re.compile(r"[\u1950-\u19df\u1a20-\u1a7c\uaa80-\uaadf]"),
    "Javanese or Balinese": re.compile(r"[\u1b00-\u1b4b\ua980-\ua9c0]"),
}
"""The scripts in which spaces do not separate words, each with a pattern of one of its characters."""
MIN_JAPANESE_SHARE = 0.1
MAX_LETTERS_PER_SPACE = 10
"""Letters of such a script for each space, above which the text is not divided into words. Words divided by a tool have
2 to 7 letters; a space between phrases follows 15 letters or more."""
MAX_LETTERS_PER_WORD = 30
"""The mean length of the words of any other script, above which spaces do not separate them."""


class Writing(NamedTuple):
    """The way a text is written."""

    script: str | None
    """one of SCRIPTS that most letters belong to; None for any other"""
    spaces_separate_words: bool
    words_per_sentence: float
    """the mean number of parts between spaces"""

    @property
    def name(self) -> str:
        """The name of the way of writing, for messages."""
        return f"{self.script} script" if self.script else "text without spaces"


SPACED = Writing(None, spaces_separate_words=True, words_per_sentence=10.0)
"""The way of writing of most languages."""


def describe_writing(sentences: Sequence[str]) -> Writing:
    """Return how sentences of one language are written, from at most SAMPLE_SIZE of them, spread evenly."""
    step = max(1, -(-len(sentences) // SAMPLE_SIZE))
    text = "\n".join(sentences[::step])
    num_letters = len(LETTER.findall(text))
    num_sentences = max(1, text.count("\n") + 1)
    num_words = len(text.split())
    words_per_sentence = num_words / num_sentences
    counts = {name: len(pattern.findall(text)) for name, pattern in SCRIPTS.items()}
    if counts[JAPANESE] >= MIN_JAPANESE_SHARE * max(1, num_letters):
        counts[JAPANESE] += counts.pop("Chinese")
    script, count = max(counts.items(), key=lambda item: item[1])
    if 2 * count <= num_letters or not count:
        return Writing(None, num_letters <= MAX_LETTERS_PER_WORD * max(1, num_words), words_per_sentence)
    num_spaces = num_words - num_sentences
    return Writing(script, count <= MAX_LETTERS_PER_SPACE * num_spaces, words_per_sentence)
