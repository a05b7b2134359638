"""Lossless division of text into words and punctuation marks; a joiner marks pieces that were written together.

Two pieces are separated by a space in the text, unless one of them has a joiner, as in the tokenizer of OpenNMT.
`He's in l'Aigle (now).` is `He'￭ s in l'￭ Aigle (￭ now ￭) ￭.`: a word is the same piece with and without punctuation
beside it.
"""

import re
from collections.abc import Iterable

JOINER = "￭"
# In order: an apostrophe that belongs to the word before it (l', qu', lorsqu', and also I' and he', since the rule
# does not depend on the language), one that belongs to what follows ('s, 't, 'hui), a word, and any other character.
PIECE = re.compile(r"\b(?:\w{1,2}|\w*[qQ][uU])['’](?=\w)|(?<=\w)['’]\w+|\w+|\W")


def split_pieces(text: str) -> list[str]:
    """Return the words and marks of a text; `join_pieces` restores it exactly."""
    pieces: list[str] = []
    for chunk in text.split(" "):  # two spaces in a row leave an empty piece between them
        first, *others = PIECE.findall(chunk) or [""]
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
    """Return whether a character is a letter, a digit or the underscore."""
    return character.isalnum() or character == "_"
