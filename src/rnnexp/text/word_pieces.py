"""Lossless division of text into words and punctuation marks; a joiner marks pieces that were written together.

Two pieces are separated by a space in the text, unless one of them has a joiner, as in the tokenizer of OpenNMT.
`He's in l'Aigle (now).` is `He'￭ s in l'￭ Aigle (￭ now ￭) ￭.`: a word is the same piece with and without punctuation
beside it. A combining mark, such as a vowel sign of Devanagari, is part of the letter before it.
"""

import re
import unicodedata
from collections.abc import Iterable

JOINER = "￭"
# The category M, and the two characters of Indic and Persian words that join letters or keep them apart. All marks are
# below U+20000, except the selectors of variants from U+E0100 on.
MARKS = frozenset("\u200c\u200d") | {
    character
    for character in map(chr, (*range(0x300, 0x20000), *range(0xE0100, 0xE01F0)))
    if unicodedata.category(character).startswith("M")
}
MARK = f"[{''.join(sorted(MARKS))}]"


def _pattern_of_pieces(word: str, letter: str, other: str) -> re.Pattern[str]:
    """Return an expression that matches one piece.

    In order: an apostrophe that belongs to the word before it (l', qu', lorsqu', and also I' and he', since the rule
    does not depend on the language), one that belongs to what follows ('s, 't, 'hui), a word, and any other character.

    Args:
        word: an expression for one character of a word.
        letter, other: expressions for a letter and for a character outside words, with the marks that follow it. The
            joiner has none, since it would seem to join them.
    """
    before = rf"(?<!{word})(?:{letter}{{1,2}}|{word}*[qQ][uU])['’](?={word})"
    return re.compile(rf"{before}|(?<={word})['’]{word}+|{word}+|{other}")


PIECE = _pattern_of_pieces(r"\w", r"\w", r"\W")
# The expression without marks takes a third of the time.
PIECE_WITH_MARKS = _pattern_of_pieces(rf"[\w{MARK[1:]}", rf"(?:\w{MARK}*)", rf"{JOINER}|\W{MARK}*")


def split_pieces(text: str) -> list[str]:
    """Return the words and marks of a text; `join_pieces` restores it exactly."""
    pieces: list[str] = []
    pattern = PIECE if MARKS.isdisjoint(text) else PIECE_WITH_MARKS
    for chunk in text.split(" "):  # two spaces in a row leave an empty piece between them
        first, *others = pattern.findall(chunk) or [""]
        pieces.append(first)
        for piece in others:
            before = pieces[-1]
            # A joiner goes on the mark, not on the word, except beside a joiner that is itself in the text.
            if is_word(piece[0]) and not is_word(before[-1]) and before[-1] != JOINER:
                pieces[-1] = before + JOINER
                pieces.append(piece)
            else:
                pieces.append(JOINER + piece)
    return pieces


def join_pieces(pieces: Iterable[str]) -> str:
    """Return the text that `split_pieces` split."""
    text: list[str] = []
    joined = True  # no space before the first
    for piece in pieces:
        joins_left = len(piece) > 1 and piece.startswith(JOINER)
        word = piece[1:] if joins_left else piece
        joins_right = len(word) > 1 and word.endswith(JOINER)
        if not (joined or joins_left):
            text.append(" ")
        text.append(word[:-1] if joins_right else word)
        joined = joins_right
    return "".join(text)


def is_word(character: str) -> bool:
    """Return whether a character is a letter, a digit, the underscore or a combining mark."""
    return character.isalnum() or character == "_" or character in MARKS
