"""Detection of sentences that repeat a word: the hotel near the door of the hotel, the boy who fell fell."""

from rnnexp.data.corpora.phrasebook.lexicon import adjectives, nouns, verbs
from rnnexp.data.corpora.phrasebook.lexicon.morphology import Adjective, Verb
from rnnexp.data.corpora.phrasebook.lexicon.nouns import Noun


def english_forms() -> dict[str, str]:
    """Return the dictionary form of every English form of every noun, adjective and verb."""
    forms: dict[str, str] = {}
    for module in (nouns, adjectives, verbs):
        for table in vars(module).values():
            if not isinstance(table, tuple):
                continue
            for entry in (table,) if isinstance(table, Adjective | Verb) else table:
                match entry:
                    case Noun():
                        forms |= dict.fromkeys((entry.english, entry.english_plural), entry.english)
                    case Adjective():
                        forms[entry.english] = entry.english
                    case Verb():
                        forms |= dict.fromkeys((entry.base, entry.third, entry.past, entry.progressive), entry.base)
    return forms


DICTIONARY_FORMS = english_forms()


def repeats_a_word(english: list[str]) -> bool:
    """Return whether two of the words are forms of one noun, adjective or verb."""
    forms = [DICTIONARY_FORMS[word] for word in english if word in DICTIONARY_FORMS]
    return len(set(forms)) < len(forms)
