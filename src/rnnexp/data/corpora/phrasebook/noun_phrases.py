"""Noun phrases of a given number of English words, in both languages."""

from typing import NamedTuple

from rnnexp.data.corpora.phrasebook.draw import Draw
from rnnexp.data.corpora.phrasebook.lexicon.adjectives import (
    BEAUTIFUL,
    BIG,
    COLORS,
    HUMAN_QUALITIES,
    NEW,
    OLD,
    ORIGINS,
    PLACE_QUALITIES,
    PRETTY,
    SMALL,
    STATES,
    THING_QUALITIES,
    YOUNG,
)
from rnnexp.data.corpora.phrasebook.lexicon.morphology import (
    CONTROLLER,
    MEASURED,
    Adjective,
    Features,
    agreeing,
    begins_with_vowel,
    indefinite_article,
)
from rnnexp.data.corpora.phrasebook.lexicon.nouns import HUMANS, Noun
from rnnexp.data.corpora.phrasebook.verb_groups import words

QUALITIES = {"human": HUMAN_QUALITIES, "place": PLACE_QUALITIES, "thing": THING_QUALITIES}
"""The adjectives that go with very, and with another adjective, by the kind of the noun."""
SINGLES = QUALITIES | {"thing": COLORS + ORIGINS + STATES + THING_QUALITIES}
"""The adjectives that a noun may have alone, by its kind. All of them follow the French noun."""
BEFORE = {
    "place": (OLD, BEAUTIFUL, SMALL, PRETTY, BIG),
    "thing": (OLD, BEAUTIFUL, NEW, SMALL, PRETTY),
    "plain": (SMALL, OLD),
}
"""The adjectives before a French noun, by its kind."""
DETERMINERS = {
    "the": ("le", "la", "les"),
    "the two": ("", "", "les deux"),
    "a": ("un", "une", ""),
    "this": ("ce", "cette", ""),
    "these": ("", "", "ces"),
    "my": ("mon", "ma", "mes"),
    # The article of a negated object: pas de chapeau.
    "not a": ("de", "de", ""),
    "no": ("aucun", "aucune", ""),
}


class Description(NamedTuple):
    """Adjectives: English ones before the noun, French ones before and after it."""

    english: str = ""
    before: str = ""
    after: str = ""


class NounPhrase(NamedTuple):
    """A noun phrase, or a modifier of one."""

    english: str
    french: str
    features: Features
    """the features of the head"""
    nearest: Features
    """the features of the last noun"""


PLAIN = Description()


def features_of(noun: Noun, plural: bool) -> Features:
    """Return the gender and number of a noun, with which other words agree."""
    return Features(noun.feminine, plural)


def before_noun(adjective: Adjective, noun: Noun, plural: bool) -> str:
    """Return the form before its noun: bel arbre, beau jardin, belle école, beaux arbres."""
    if begins_with_vowel(noun.french) and not noun.feminine and not plural:
        return adjective.before_vowel
    return agreeing(adjective, features_of(noun, plural))


def adjectives_before(noun: Noun) -> tuple[Adjective, ...]:
    """Return the adjectives that go with a noun and precede it in French."""
    if noun.kind == "human":
        return tuple(adjective for adjective in (OLD, YOUNG) if adjective.english in noun.traits)
    return BEFORE[noun.kind]


def coordinated(draw: Draw, noun: Noun) -> tuple[Adjective, Adjective]:
    """Return two adjectives that go together, colors in any order."""
    choices = COLORS if noun.kind == "thing" and draw.chance() else QUALITIES[noun.kind]
    return two_of(draw, choices)


def two_of(draw: Draw, choices: tuple[Adjective, ...]) -> tuple[Adjective, Adjective]:
    """Return two different adjectives."""
    first = draw.one(choices)
    second = draw.one([adjective for adjective in choices if adjective is not first])
    return first, second


def describe_after(draw: Draw, noun: Noun, plural: bool, num_words: int) -> Description:
    """Make a description of zero to five English words that all follow the French noun."""
    if num_words == 0:
        return PLAIN
    features = features_of(noun, plural)
    if num_words == 1:
        adjective = draw.one(SINGLES[noun.kind])
        return Description(adjective.english, after=agreeing(adjective, features))
    if num_words == 2:
        adjective = draw.one(QUALITIES[noun.kind])
        return Description(f"very {adjective.english}", after=f"très {agreeing(adjective, features)}")
    first, second = coordinated(draw, noun) if num_words == 3 else two_of(draw, QUALITIES[noun.kind])
    very, tres = ("very ", "très ") if num_words >= 4 else ("", "")
    also_very, aussi_tres = ("very ", "très ") if num_words == 5 else ("", "")
    return Description(
        f"{also_very}{first.english} and {very}{second.english}",
        after=f"{aussi_tres}{agreeing(first, features)} et {tres}{agreeing(second, features)}",
    )


def describe(draw: Draw, noun: Noun, plural: bool, num_words: int) -> Description:
    """Make a description of zero to five English words, some of which may precede the French noun."""
    if num_words == 0:
        return PLAIN
    choices = adjectives_before(noun)
    if noun.kind == "plain" or draw.chance():
        adjective = draw.one(choices)
        before = before_noun(adjective, noun, plural)
        if num_words == 1:
            return Description(adjective.english, before=before)
        if num_words == 2 and adjective is not NEW:
            return Description(f"very {adjective.english}", before=f"très {before}")
        if num_words == 2 or (num_words == 4 and noun.kind == "thing"):
            colors = [draw.one(COLORS)] if num_words == 2 else two_of(draw, COLORS)
            features = features_of(noun, plural)
            return Description(
                f"{adjective.english} {' and '.join(color.english for color in colors)}",
                before,
                " et ".join(agreeing(color, features) for color in colors),
            )
    return describe_after(draw, noun, plural, num_words)


def noun_phrase(
    noun: Noun, plural: bool, determiner: str = "the", description: Description = PLAIN, controls: bool = False
) -> NounPhrase:
    """Make a noun with its determiner, one of DETERMINERS, and its adjectives.

    Args:
        controls: mark the English noun as the word that decides a form.
    """
    masculine, feminine, several = DETERMINERS[determiner]
    english = noun.english_plural if plural else noun.english
    if determiner in ("a", "not a"):
        determiner = indefinite_article((description.english or english).lstrip(MEASURED))
    features = features_of(noun, plural)
    return NounPhrase(
        words(determiner, description.english, CONTROLLER + english if controls else english),
        words(
            several if plural else feminine if noun.feminine else masculine,
            description.before,
            noun.french_plural if plural else noun.french,
            description.after,
        ),
        features,
        features,
    )


def definite(draw: Draw, noun: Noun, plural: bool, num_words: int) -> NounPhrase:
    """Make a phrase of two to four English words: the queen, the old queen, the very old queen, the two old queens."""
    two = num_words == 4 and plural
    description = describe(draw, noun, plural, num_words - 2 - two)
    return noun_phrase(noun, plural, "the two" if two else "the", description)


def human(draw: Draw) -> Noun:
    """Return a noun for a woman or a man, with the same probability."""
    return draw.one(HUMANS)
