"""Generation of the corpus, with equal numbers of pairs per phenomenon and distance, and its division into splits."""

import hashlib
from collections.abc import Callable, Iterable
from typing import NamedTuple

from rnnexp.core.validation import lookup, require_positive
from rnnexp.data.corpora.phrasebook.agreement import clitic, gender, number, participle
from rnnexp.data.corpora.phrasebook.draw import Draw
from rnnexp.data.corpora.phrasebook.lexicon.morphology import CONTROLLER, MEASURED, surface
from rnnexp.data.corpora.phrasebook.negation import negation, negative_subject
from rnnexp.data.corpora.phrasebook.repetition import repeats_a_word
from rnnexp.data.corpora.phrasebook.sentence import Sentence
from rnnexp.data.corpora.phrasebook.tense import question, tense_end, tense_start
from rnnexp.data.corpora.phrasebook.word_order import adjective, contraction, elision


class Phenomenon(NamedTuple):
    """A grammatical relation that sentences measure, and the distances at which they measure it."""

    make: Callable[[Draw, int], Sentence]
    distances: range


PHENOMENA = {
    "number": Phenomenon(number, range(13)),
    "gender": Phenomenon(gender, range(1, 13)),
    "participle": Phenomenon(participle, range(13)),
    "clitic": Phenomenon(clitic, range(2, 13)),
    "tense_start": Phenomenon(tense_start, range(2, 13)),
    "tense_end": Phenomenon(tense_end, range(2, 13)),
    "question": Phenomenon(question, range(1, 13)),
    "negative_subject": Phenomenon(negative_subject, range(13)),
    "negation": Phenomenon(negation, range(2)),
    "elision": Phenomenon(elision, range(6)),
    "contraction": Phenomenon(contraction, range(6)),
    "adjective": Phenomenon(adjective, range(4)),
}
CELLS = tuple((name, distance) for name, phenomenon in PHENOMENA.items() for distance in phenomenon.distances)
MAX_MISSES = 1000
"""The number of misses in a row after which a cell counts as exhausted."""


class PhrasebookPair(NamedTuple):
    """An English sentence, its French translation, and the relation that it measures.

    Words are those of `str.split`. `source[controller]` decides which form `target[agreeing]` has, the translation of
    `source[measured]` or a part of it.
    """

    source: str
    target: str
    phenomenon: str
    """one of PHENOMENA"""
    distance: int
    """the number of English words between `controller` and `measured`"""
    controller: int
    """the index of a word of the source"""
    measured: int
    """the index of a word of the source"""
    agreeing: int
    """the index of a word of the target"""
    attractor: bool
    """whether the last noun between them would require another form"""


def generate(seed: int = 0, num_pairs: int = 24_000) -> list[PhrasebookPair]:
    """Return sentence pairs with different sources, the same for the same arguments on every platform.

    The numbers of pairs of each (phenomenon, distance) differ by one at most. The pairs alternate in the list, so that
    any part of it is as balanced as the whole.

    Raises:
        ValueError: if `num_pairs` is not positive, or more than the grammar can make.
    """
    require_positive(num_pairs=num_pairs)
    seen: set[str] = set()
    columns = []
    for index, (phenomenon, distance) in enumerate(CELLS):
        num_needed = num_pairs // len(CELLS) + (index < num_pairs % len(CELLS))
        draw = Draw(f"{seed} {phenomenon} {distance}")
        column: list[PhrasebookPair] = []
        misses = 0
        while len(column) < num_needed:
            pair = finished(PHENOMENA[phenomenon].make(draw, distance), phenomenon, distance)
            if pair.source in seen or repeats_a_word(by_sentence(pair).split()):
                misses += 1
                if misses == MAX_MISSES:
                    raise ValueError(
                        f"num_pairs={num_pairs} is more than the phrasebook can make: {phenomenon} at distance "
                        f"{distance} has {len(column)} sentences, not {num_needed}; choose a smaller num_pairs"
                    )
            else:
                misses = 0
                seen.add(pair.source)
                column.append(pair)
        columns.append(column)
    return [column[row] for row in range(len(columns[0])) for column in columns if row < len(column)]


def finished(sentence: Sentence, phenomenon: str, distance: int) -> PhrasebookPair:
    """Return a sentence as it is written, with its marks turned into positions."""
    english, french = sentence.english.split(), surface(sentence.french).split()
    controller, measured = place_of(CONTROLLER, english), place_of(MEASURED, english)
    agreeing = place_of(MEASURED, french)
    end = {".": ".", "?": " ?"}[sentence.end]
    return PhrasebookPair(
        written(english) + sentence.end,
        written(french) + end,
        phenomenon,
        distance,
        controller,
        measured,
        agreeing,
        sentence.attractor,
    )


def place_of(mark: str, words: list[str]) -> int:
    """Return the index of the word that has a mark."""
    return next(place for place, word in enumerate(words) if mark in word)


def written(words: list[str]) -> str:
    """Return the words without marks, the first with a capital."""
    text = " ".join(words).replace(CONTROLLER, "").replace(MEASURED, "")
    return text[0].upper() + text[1:]


def by_sentence(pair: PhrasebookPair) -> str:
    """Return the words of the English sentence in lower case."""
    return " ".join(pair.source.lower().rstrip(".?").split())


def by_combination(pair: PhrasebookPair) -> str:
    """Return the phenomenon and the two English words whose relation is measured."""
    words = by_sentence(pair).replace(",", "").split()
    return f"{pair.phenomenon}: {words[pair.controller]} {words[pair.measured]}"


HELD_OUT: dict[str, Callable[[PhrasebookPair], str]] = {"sentence": by_sentence, "combination": by_combination}


def split(
    pairs: Iterable[PhrasebookPair], held_out: str = "sentence", val_share: float = 0.1, test_share: float = 0.1
) -> dict[str, list[PhrasebookPair]]:
    """Divide pairs into `train`, `val` and `test` by a hash of each pair, independently of the other pairs.

    Args:
        held_out: the unit that no two splits share: a `sentence`, or a `combination` of controller and measured word
            within a phenomenon (key ... green, boys ... slept), so that val and test need agreement between words that
            never agree in training.
        val_share, test_share: the shares of the hashes, and so approximately of the pairs.

    Raises:
        ValueError: for another `held_out`, or shares that leave nothing for training.
    """
    key = lookup("held_out", held_out, HELD_OUT)
    if not (val_share >= 0 and test_share >= 0 and val_share + test_share < 1):
        raise ValueError(f"val_share={val_share} and test_share={test_share} leave nothing for training")
    divided: dict[str, list[PhrasebookPair]] = {"train": [], "val": [], "test": []}
    for pair in pairs:
        number = int.from_bytes(hashlib.sha256(key(pair).encode()).digest()[:6]) / 2**48
        divided["test" if number < test_share else "val" if number < test_share + val_share else "train"].append(pair)
    return divided
