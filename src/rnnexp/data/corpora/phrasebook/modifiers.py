"""Modifiers between a noun and its verb: prepositional phrases and relative clauses of a given number of words.

`The boy | that the women sitting near the door know | will sing`: the modifier sets the distance between the words
that agree, and its nouns, of another gender or number, are wrong candidates for agreement.
"""

from collections.abc import Callable
from typing import NamedTuple

from rnnexp.data.corpora.phrasebook.draw import Draw
from rnnexp.data.corpora.phrasebook.lexicon.morphology import Features, agreeing_participle
from rnnexp.data.corpora.phrasebook.lexicon.nouns import PLACES, Noun
from rnnexp.data.corpora.phrasebook.lexicon.verbs import (
    ACTIONS,
    BELONG,
    FALL,
    FEELINGS,
    INTRANSITIVES,
    LIKE,
    MEETINGS,
    PORTRAYALS,
)
from rnnexp.data.corpora.phrasebook.noun_phrases import NounPhrase, definite, human, noun_phrase
from rnnexp.data.corpora.phrasebook.verb_groups import HER, HIM, Pronoun, verb_group


class Preposition(NamedTuple):
    """A preposition of place and the places that it goes with."""

    english: str
    french: str
    places: tuple[Noun, ...]
    singular: bool
    """whether it goes only with a singular place, as `in the garden`"""


def with_trait(trait: str) -> tuple[Noun, ...]:
    """Return the places that a preposition goes with."""
    return tuple(place for place in PLACES if trait in place.traits)


NEAR = Preposition("near", "près de", PLACES, singular=False)
BEHIND = Preposition("behind", "derrière", PLACES, singular=False)
IN_FRONT = Preposition("in front of", "devant", PLACES, singular=False)
IN = Preposition("in", "dans", with_trait("in"), singular=True)
ON = Preposition("on", "sur", with_trait("on"), singular=True)
UNDER = Preposition("under", "sous", with_trait("under"), singular=False)
ANYWHERE = (NEAR, BEHIND, IN_FRONT, IN, ON, UNDER)
OUTSIDE = (NEAR, BEHIND, IN_FRONT)
BUILDINGS, HOMES = with_trait("building"), with_trait("home")
SHORTEST_PLACE = 2
LONGEST_PLACE = 7
ONLY_SIMPLE_PLACE = 4
"""The number of words up to which a place is one noun; longer ones are a part of a building."""


def location(
    draw: Draw, num_words: int, prepositions: tuple[Preposition, ...] = ANYWHERE, plural: bool = False
) -> NounPhrase:
    """Make a place of 3 to 8 words: near the door, in the old kitchen of the castle.

    Args:
        plural: make all nouns plural.
    """
    possible = []
    for preposition in prepositions:
        size = num_words - len(preposition.english.split())
        whole = size > ONLY_SIMPLE_PLACE
        if (
            SHORTEST_PLACE <= size <= LONGEST_PLACE
            and not (plural and preposition.singular)
            and not (whole and preposition.places is not PLACES and preposition is not IN)
        ):
            possible.append((preposition, size))
    preposition, size = draw.one(possible)
    several = plural or (not preposition.singular and draw.chance())
    if size <= ONLY_SIMPLE_PLACE:
        phrase = definite(draw, draw.one(preposition.places), several, size)
    else:
        phrase = part(draw, size, preposition, several, plural)
    return phrase._replace(
        english=f"{preposition.english} {phrase.english}", french=f"{preposition.french} {phrase.french}"
    )


def part(draw: Draw, num_words: int, preposition: Preposition, several: bool, plural: bool) -> NounPhrase:
    """Make a part of a building of 5 to 7 words: the door of the castle, the old door of the new castle."""
    noun = draw.one([place for place in preposition.places if "part" in place.traits])
    whole = draw.one(HOMES if "domestic" in noun.traits else BUILDINGS)
    num_adjectives = num_words - 5
    first = num_adjectives == 2 or (num_adjectives == 1 and draw.chance())
    head = definite(draw, noun, several, 2 + first)
    owner = definite(draw, whole, plural or (several and draw.chance()), 2 + num_adjectives - first)
    return NounPhrase(
        f"{head.english} of {owner.english}", f"{head.french} de {owner.french}", head.features, owner.features
    )


def posture(draw: Draw, num_words: int, who: Features, plural: bool = False) -> NounPhrase:
    """Make a participle with its place, of 4 to 9 words: sitting near the door, standing in front of the fountain."""
    if draw.chance():
        where = location(draw, num_words - 1, plural=plural)
        english, french = "sitting", agreeing_participle("assis", who)
    else:
        where = location(draw, num_words - 1, (*OUTSIDE, UNDER), plural)
        english, french = "standing", "debout"
    return where._replace(english=f"{english} {where.english}", french=f"{french} {where.french}")


def people(draw: Draw, num_words: int, plural: bool, plural_places: bool = False) -> NounPhrase:
    """Make a noun phrase for people, of 2 to 11 words: the women, the young women, the women sitting near the door."""
    noun = human(draw)
    if num_words <= ONLY_SIMPLE_PLACE:
        return definite(draw, noun, plural, num_words)
    phrase = noun_phrase(noun, plural)
    places = [location(draw, num_words - 2, plural=plural_places)] if num_words <= 10 else []
    if num_words >= 6:
        places.append(posture(draw, num_words - 2, phrase.features, plural_places))
    return modified(phrase, draw.one(places))


def modified(phrase: NounPhrase, modifier: NounPhrase) -> NounPhrase:
    """Return the phrase with a modifier of its head."""
    return NounPhrase(
        f"{phrase.english} {modifier.english}",
        f"{phrase.french} {modifier.french}",
        phrase.features,
        modifier.nearest,
    )


def who_clause(draw: Draw, num_words: int, who: Features, stative: bool) -> NounPhrase:
    """Make a clause of 4 to 12 words: who helped the women, who know the young man near the fountain."""
    verb = draw.one(FEELINGS if stative else MEETINGS)
    group = verb_group(verb, "present" if stative else "past", who)
    whom = people(draw, num_words - 2, draw.chance())
    return whom._replace(english=f"who {group.english} {whom.english}", french=f"qui {group.french} {whom.french}")


def that_clause(draw: Draw, num_words: int, what: Features, kind: str, stative: bool, plural: bool) -> NounPhrase:
    """Make a clause of 4 to 12 words: that the women know, that the women sitting near the door bought.

    The French participle agrees with the noun before the clause: la clé que la reine a achetée.
    """
    by = people(draw, num_words - 2, draw.chance(), plural)
    if kind == "human":
        verbs, stative = (FEELINGS, True) if stative or draw.chance() else (MEETINGS, False)
    else:
        verbs = (LIKE,) if stative else ACTIONS if kind == "thing" else PORTRAYALS
    # English has no pronoun here; a French one would agree in the same way as the relative does.
    relative: Pronoun = (HER if what.feminine else HIM)._replace(english="", french="", features=what)
    group = verb_group(draw.one(verbs), "present" if stative else "past", by.features, pronoun=relative)
    return by._replace(english=f"that {by.english} {group.english}", french=f"que {by.french} {group.french}")


def about_human(draw: Draw, num_words: int, who: Features, stative: bool = False) -> NounPhrase:
    """Make a modifier of people, of 2 to 12 words.

    Args:
        stative: use only verbs in the present.
    """
    if num_words == 2:
        verb = draw.one(INTRANSITIVES)
        group = verb_group(verb, "past", who)
        return NounPhrase(f"who {group.english}", f"qui {group.french}", who, who)
    kinds: list[Callable[[], NounPhrase]] = []
    if num_words <= 8:
        kinds.append(lambda: location(draw, num_words))
    if 4 <= num_words <= 9:
        kinds.append(lambda: posture(draw, num_words, who))
    if num_words >= 4:
        kinds.append(lambda: who_clause(draw, num_words, who, stative))
        kinds.append(lambda: that_clause(draw, num_words, who, "human", stative, plural=False))
    return draw.one(kinds)()


def about_object(draw: Draw, num_words: int, what: Features, kind: str, plural: bool = False) -> NounPhrase:
    """Make a modifier of a thing or a place, of 3 to 12 words; for a thing also `that fell`.

    Args:
        plural: use only nouns that are plural or human, so that `it` can refer only to the thing.
    """
    if num_words == 2:
        group = verb_group(FALL, "past", what)
        return NounPhrase(f"that {group.english}", f"qui {group.french}", what, what)
    kinds: list[Callable[[], NounPhrase]] = []
    if num_words <= 8:
        kinds.append(lambda: location(draw, num_words, ANYWHERE if kind == "thing" else OUTSIDE, plural))
    if num_words >= 4:
        stative = draw.chance(0.3)
        kinds.append(lambda: that_clause(draw, num_words, what, kind, stative, plural))
    if num_words >= 5 and kind == "thing":
        kinds.append(lambda: belonging(draw, num_words, what, plural))
    return draw.one(kinds)()


def belonging(draw: Draw, num_words: int, what: Features, plural: bool) -> NounPhrase:
    """Make a clause of 5 to 12 words: that belongs to the women, that belong to the women near the doors."""
    group = verb_group(BELONG, "present", what)
    owner = people(draw, num_words - 3, draw.chance(), plural)
    return owner._replace(
        english=f"that {group.english} to {owner.english}", french=f"qui {group.french} à {owner.french}"
    )


def human_subject(draw: Draw, num_words: int, *, controls: bool = False) -> NounPhrase:
    """Make a noun phrase for people with 0, 2 or more words after the noun.

    Args:
        num_words: the number of words after the noun.
        controls: mark the noun as the word that decides a form.
    """
    phrase = noun_phrase(human(draw), draw.chance(), controls=controls)
    return modified(phrase, about_human(draw, num_words, phrase.features)) if num_words else phrase
