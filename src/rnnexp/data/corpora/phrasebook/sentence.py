"""A sentence in both languages, still with its marks, and what it is put together from."""

from typing import NamedTuple

from rnnexp.data.corpora.phrasebook.lexicon.morphology import Features
from rnnexp.data.corpora.phrasebook.noun_phrases import NounPhrase
from rnnexp.data.corpora.phrasebook.predicates import Predicate
from rnnexp.data.corpora.phrasebook.verb_groups import VerbGroup, words


class Sentence(NamedTuple):
    """Both languages in full forms and without a capital; the marks stand where morphology says."""

    english: str
    french: str
    attractor: bool = False
    end: str = "."


I_FEATURES, WE_FEATURES = Features(False, False, first_person=True), Features(False, True, first_person=True)
SPEAKERS = (
    NounPhrase("I", "je", I_FEATURES, I_FEATURES),
    NounPhrase("we", "nous", WE_FEATURES, WE_FEATURES),
)
"""Whose gender English does not tell: nothing that shows it may be said of them."""


def statement(subject: NounPhrase, group: VerbGroup, what: Predicate, *, attractor: bool = False) -> Sentence:
    """Subject, verb and the rest."""
    return Sentence(
        words(subject.english, group.english, what.english),
        words(subject.french, group.french, what.french),
        attractor,
    )
