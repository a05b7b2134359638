"""Sentences in which a French word precedes the word that decides its form, since English has another word order."""

from typing import NamedTuple

from rnnexp.data.corpora.phrasebook.agreement import showing_gender
from rnnexp.data.corpora.phrasebook.draw import Draw
from rnnexp.data.corpora.phrasebook.lexicon.adjectives import BEAUTIFUL, COLORS, NEW, OLD, ORIGINS, STATES
from rnnexp.data.corpora.phrasebook.lexicon.morphology import (
    CONTROLLER,
    ETRE_BY_TENSE,
    MEASURED,
    Verb,
    agreeing,
    begins_with_vowel,
)
from rnnexp.data.corpora.phrasebook.lexicon.nouns import HUMANS, PLACES, THINGS, Noun
from rnnexp.data.corpora.phrasebook.lexicon.verbs import (
    ACTIONS,
    ANSWER,
    COME,
    DREAM,
    GO,
    NEED,
    PORTRAYALS,
    TALK,
    THINK,
    WRITE,
)
from rnnexp.data.corpora.phrasebook.modifiers import ANYWHERE, BUILDINGS, OUTSIDE, location, people
from rnnexp.data.corpora.phrasebook.noun_phrases import (
    QUALITIES,
    Description,
    NounPhrase,
    before_noun,
    describe,
    describe_after,
    features_of,
    noun_phrase,
    two_of,
)
from rnnexp.data.corpora.phrasebook.predicates import ALSO, OFTEN, Predicate, predicate
from rnnexp.data.corpora.phrasebook.sentence import SPEAKERS, Sentence, statement
from rnnexp.data.corpora.phrasebook.verb_groups import NO_ADVERB, Adverb, verb_group, words

ENGLISH_TO_BE = {"present": ("is", "are"), "imperfect": ("was", "were"), "future": ("will be", "will be")}


class Complement(NamedTuple):
    """A verb with its prepositions, à or de in French, and the nouns that can follow."""

    verb: Verb
    english: str
    french: str
    nouns: tuple[Noun, ...]
    tenses: tuple[str, ...] = ("present", "past", "future")


COMPLEMENTS = (
    Complement(GO, "to", "à", BUILDINGS),
    Complement(COME, "from", "de", BUILDINGS),
    Complement(TALK, "to", "à", HUMANS),
    Complement(TALK, "about", "de", THINGS),
    Complement(THINK, "about", "à", THINGS),
    Complement(DREAM, "about", "de", THINGS),
    Complement(WRITE, "to", "à", HUMANS),
    Complement(ANSWER, "", "à", HUMANS),
    # No past: `they needed it` would be a French imparfait.
    Complement(NEED, "", "besoin de", THINGS, ("present", "future")),
)


def by_initial(draw: Draw, nouns: tuple[Noun, ...]) -> Noun:
    """Return a noun with elision before it or one without, with equal probability."""
    with_vowel = draw.chance()
    return draw.one([noun for noun in nouns if begins_with_vowel(noun.french) == with_vowel])


def around(draw: Draw, phrase: NounPhrase, kind: str) -> Sentence:
    """Make a sentence about a thing or a place."""
    if draw.chance(0.6):
        subject = draw.one(SPEAKERS) if draw.chance(0.2) else people(draw, draw.one((2, 3)), draw.chance())
        verb = draw.one(ACTIONS if kind == "thing" else PORTRAYALS)
        group = verb_group(verb, draw.one(("present", "past", "future")), subject.features)
        return statement(subject, group, Predicate(verb, phrase.english, phrase.french))
    where = location(draw, draw.one((3, 4)), ANYWHERE if kind == "thing" else OUTSIDE)
    tense, plural = draw.one(("present", "imperfect", "future")), phrase.features.plural
    return Sentence(
        words(phrase.english, ENGLISH_TO_BE[tense][plural], where.english),
        words(phrase.french, ETRE_BY_TENSE[tense][plural], where.french),
    )


def elision(draw: Draw, distance: int) -> Sentence:
    """Make a sentence with le or l', ce or cet, ma or mon, je or j', vieux or vieil: the next word decides."""
    kinds = ["determiner"]
    if distance <= 2:
        kinds.append("pronoun")
    if distance in (0, 1, 3):
        kinds.append("adjective")
    kind = draw.one(kinds)
    if kind == "pronoun":
        return elided_pronoun(draw, distance)
    noun = by_initial(draw, THINGS if kind == "adjective" or draw.chance(0.6) else PLACES)
    determiner = draw.one(("the", "this", "my") if noun.kind == "thing" else ("the", "this"))
    if kind == "adjective":
        description = described_before(draw, noun, distance)
    else:
        description = describe_after(draw, noun, False, distance)
    phrase = noun_phrase(noun, False, determiner, description, controls=True)
    if kind == "determiner":
        phrase = phrase._replace(english=MEASURED + phrase.english, french=MEASURED + phrase.french)
    return around(draw, phrase, noun.kind)


def described_before(draw: Draw, noun: Noun, num_words: int) -> Description:
    """Make `old`, `old red` or `old red and white`: vieux or vieil, marked as measured, and what follows the noun."""
    adjective = draw.one((OLD, BEAUTIFUL, NEW))
    others = {0: (), 1: (draw.one(COLORS + ORIGINS),), 3: two_of(draw, COLORS)}[num_words]
    features = features_of(noun, plural=False)
    return Description(
        words(MEASURED + adjective.english, " and ".join(other.english for other in others)),
        MEASURED + before_noun(adjective, noun, plural=False),
        " et ".join(agreeing(other, features) for other in others),
    )


def elided_pronoun(draw: Draw, distance: int) -> Sentence:
    """Make a sentence with je or j': `I often open`."""
    with_vowel = draw.chance()
    what = predicate(draw)
    while begins_with_vowel(what.verb.future) != with_vowel:
        what = predicate(draw)
    tense = "future" if distance == 2 or (distance == 1 and draw.chance()) else "present"
    adverb: Adverb = NO_ADVERB
    if distance - (tense == "future") == 1:
        adverb = draw.one((OFTEN, ALSO))
    speaker = SPEAKERS[0]
    group = verb_group(what.verb, tense, speaker.features, adverb=adverb)
    group = group._replace(verb=CONTROLLER + group.verb)
    subject = speaker._replace(english=MEASURED + speaker.english, french=MEASURED + speaker.french)
    return statement(subject, group, what)


def contraction(draw: Draw, distance: int) -> Sentence:
    """Make a sentence with au, à la, à l' or aux, or du, de la, de l' or des, decided by the noun."""
    complement = draw.one(COMPLEMENTS)
    noun = draw.one(complement.nouns)
    plural = draw.chance(0.4) and complement.verb not in (GO, COME)
    target = noun_phrase(noun, plural, "the", describe(draw, noun, plural, distance), controls=True)
    subject = people(draw, draw.one((2, 3)), draw.chance())
    group = verb_group(complement.verb, draw.one(complement.tenses), subject.features)
    *tail, preposition = complement.french.split()
    what = Predicate(
        complement.verb,
        words(complement.english, MEASURED + target.english),
        words(*tail, MEASURED + preposition, target.french),
    )
    return statement(subject, group, what)


def adjective(draw: Draw, distance: int) -> Sentence:
    """Make a sentence whose English adjective precedes the noun with which the French one, after it, agrees."""
    noun = draw.one(THINGS if distance == 1 or draw.chance(0.7) else PLACES)
    plural = draw.chance()
    features = features_of(noun, plural)
    colored = noun.kind == "thing" and draw.chance()
    qualities = QUALITIES[noun.kind]
    first = draw.one(showing_gender(COLORS + ORIGINS + STATES + qualities if noun.kind == "thing" else qualities))
    if distance == 1:
        first, second = draw.one(STATES), draw.one(COLORS + ORIGINS)
    elif distance > 1:
        first = draw.one(showing_gender(COLORS if colored and distance == 2 else qualities))
        second = draw.one([other for other in (COLORS if colored and distance == 2 else qualities) if other != first])
    measured_english, measured_french = MEASURED + first.english, MEASURED + agreeing(first, features)
    description = Description(measured_english, after=measured_french)
    if distance:
        other = agreeing(second, features)
        english, french = {
            1: (f"{measured_english} {second.english}", f"{other} {measured_french}"),
            2: (f"{measured_english} and {second.english}", f"{measured_french} et {other}"),
            3: (f"{measured_english} and very {second.english}", f"{measured_french} et très {other}"),
        }[distance]
        description = Description(english, after=french)
    determiner = draw.one(("the", "the", "these") if plural else ("the", "a", "this"))
    phrase = noun_phrase(noun, plural, determiner, description, controls=True)
    return around(draw, phrase, noun.kind)
