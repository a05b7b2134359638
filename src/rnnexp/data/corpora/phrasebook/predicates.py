"""Predicates: a verb with or without an object, and the adverbials of time."""

from typing import NamedTuple

from rnnexp.data.corpora.phrasebook.draw import Draw
from rnnexp.data.corpora.phrasebook.lexicon.morphology import Verb
from rnnexp.data.corpora.phrasebook.lexicon.nouns import THINGS, TO_CUT, TO_HIT, TO_SHUT, Noun
from rnnexp.data.corpora.phrasebook.lexicon.verbs import (
    ACTIONS,
    CUT,
    HIT,
    INTRANSITIVES,
    MEETINGS,
    PUT,
    READ,
    SET,
    SHUT,
    TENSELESS,
)
from rnnexp.data.corpora.phrasebook.modifiers import ANYWHERE, BEHIND, IN, IN_FRONT, NEAR, location, people
from rnnexp.data.corpora.phrasebook.noun_phrases import definite, describe, noun_phrase
from rnnexp.data.corpora.phrasebook.verb_groups import Adverb

OFTEN, ALWAYS, REALLY = Adverb("often", "souvent"), Adverb("always", "toujours"), Adverb("really", "vraiment")
FINALLY, ALSO = Adverb("finally", "enfin"), Adverb("also", "aussi")
INDOORS_OR_BESIDE = (NEAR, BEHIND, IN_FRONT, IN)
OBJECTS_OF_TENSELESS = {
    READ: tuple(thing for thing in THINGS if "read" in thing.traits),
    CUT: TO_CUT,
    SHUT: TO_SHUT,
    HIT: TO_HIT,
}


class Predicate(NamedTuple):
    """A verb and what follows it in either language."""

    verb: Verb
    english: str = ""
    french: str = ""


class Time(NamedTuple):
    """An adverbial of time; the first of its English words decides the tense."""

    english: str
    french: str
    tense: str


HABITS = tuple(
    Time(f"every {english}", french, "present")
    for english, french in (
        ("day", "tous les jours"),
        ("morning", "tous les matins"),
        ("evening", "tous les soirs"),
        ("week", "toutes les semaines"),
        ("Sunday", "tous les dimanches"),
        ("Monday", "tous les lundis"),
        ("summer", "tous les étés"),
        ("year", "tous les ans"),
    )
)
YESTERDAY = Time("yesterday", "hier", "past")
LAST = tuple(
    Time(f"last {english}", french, "past")
    for english, french in (
        ("night", "hier soir"),
        ("Sunday", "dimanche dernier"),
        ("Monday", "lundi dernier"),
        ("week", "la semaine dernière"),
        ("month", "le mois dernier"),
        ("summer", "le été dernier"),
        ("year", "la année dernière"),
    )
)
RECENTLY = (YESTERDAY, *LAST[:4])


def predicate(draw: Draw, *, indefinite: str = "a") -> Predicate:
    """Make a predicate of people, with a thing, a person or no object.

    Args:
        indefinite: the determiner to use for `a`: `not a` in negative sentences.
    """
    kind = draw.one(("alone", "thing", "person"))
    if kind == "alone":
        return Predicate(draw.one(INTRANSITIVES))
    if kind == "person":
        whom = people(draw, draw.one((2, 3)), draw.chance())
        return Predicate(draw.one(MEETINGS), whom.english, whom.french)
    noun = draw.one(THINGS)
    description = describe(draw, noun, False, draw.one((0, 1)))
    if draw.chance():
        thing = noun_phrase(noun, False, indefinite, description)
    else:
        thing = definite(draw, noun, draw.chance(), draw.one((2, 3)))
    return Predicate(draw.one(ACTIONS), thing.english, thing.french)


def tenseless_predicate(draw: Draw, num_words: int) -> Predicate:
    """Make a predicate whose verb does not show its tense, with 2 to 12 words after the verb."""
    verb = draw.one(TENSELESS)
    with_location = num_words >= 5
    if verb in OBJECTS_OF_TENSELESS:
        nouns: tuple[Noun, ...] = OBJECTS_OF_TENSELESS[verb]
    elif with_location:
        nouns = THINGS
    else:  # put and set need a location
        verb, nouns = READ, OBJECTS_OF_TENSELESS[READ]
    sizes = [size for size in (2, 3, 4) if size == num_words or 3 <= num_words - size <= 8]
    size = draw.one(sizes)
    what = definite(draw, draw.one(nouns), draw.chance(), size)
    if size == num_words:
        return Predicate(verb, what.english, what.french)
    where = location(draw, num_words - size, ANYWHERE if verb in (READ, PUT, SET) else INDOORS_OR_BESIDE)
    return Predicate(verb, f"{what.english} {where.english}", f"{what.french} {where.french}")
