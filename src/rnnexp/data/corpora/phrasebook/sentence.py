"""A sentence in both languages, with its marks, and its construction."""

from typing import NamedTuple

from rnnexp.data.corpora.phrasebook.lexicon.morphology import Features
from rnnexp.data.corpora.phrasebook.noun_phrases import NounPhrase
from rnnexp.data.corpora.phrasebook.predicates import Predicate
from rnnexp.data.corpora.phrasebook.verb_groups import VerbGroup, words


class Sentence(NamedTuple):
    """A sentence in full forms and without a capital, with the marks of lexicon/morphology.py."""

    english: str
    french: str
    attractor: bool = False
    end: str = "."


I_FEATURES, WE_FEATURES = Features(False, False, first_person=True), Features(False, True, first_person=True)
SPEAKERS = (
    NounPhrase("I", "je", I_FEATURES, I_FEATURES),
    NounPhrase("we", "nous", WE_FEATURES, WE_FEATURES),
)
"""Subjects whose gender English does not show. They are used without French words that show it."""


def statement(subject: NounPhrase, group: VerbGroup, what: Predicate, *, attractor: bool = False) -> Sentence:
    """Put a subject, a verb and the rest of the predicate together."""
    return Sentence(
        words(subject.english, group.english, what.english),
        words(subject.french, group.french, what.french),
        attractor,
    )
