"""Sentences whose tense a distant English word decides: an adverbial before or after the verb, or an auxiliary."""

from rnnexp.data.corpora.phrasebook.draw import Draw
from rnnexp.data.corpora.phrasebook.lexicon.morphology import CONTROLLER, Features
from rnnexp.data.corpora.phrasebook.lexicon.verbs import ACTIONS, INTRANSITIVES, MEETINGS, MOVEMENTS
from rnnexp.data.corpora.phrasebook.modifiers import about_human, modified, people
from rnnexp.data.corpora.phrasebook.noun_phrases import NounPhrase, definite, human, noun_phrase
from rnnexp.data.corpora.phrasebook.predicates import (
    HABITS,
    LAST,
    YESTERDAY,
    Predicate,
    Time,
    predicate,
    tenseless_predicate,
)
from rnnexp.data.corpora.phrasebook.sentence import SPEAKERS, Sentence, statement
from rnnexp.data.corpora.phrasebook.verb_groups import verb_group, words

HE, SHE = Features(feminine=False, plural=False), Features(feminine=True, plural=False)
SHORT_SUBJECTS = (NounPhrase("he", "il", HE, HE), NounPhrase("she", "elle", SHE, SHE), SPEAKERS[1])
LASTING = (
    *INTRANSITIVES,
    *(verb for verb in ACTIONS if verb.base in ("hide", "draw", "clean", "examine", "use", "carry")),
)
"""Verbs that can be used in the past progressive."""


def controlling(time: Time) -> str:
    """Return the English adverbial, marked as the controller."""
    return CONTROLLER + time.english


def subject_of(draw: Draw, num_words: int, plural: bool) -> NounPhrase:
    """Make a subject of two or more English words, without a verb in another tense than the present."""
    noun = human(draw)
    if num_words <= 4:
        return definite(draw, noun, plural, num_words)
    phrase = noun_phrase(noun, plural)
    return modified(phrase, about_human(draw, num_words - 2, phrase.features, stative=True))


def tense_start(draw: Draw, distance: int) -> Sentence:
    """Make `Every day, the boys read` or `Last week, the boys read`: the adverbial before the subject decides."""
    subject_size = distance - 1  # the second word of `every day` counts too
    subject = draw.one(SPEAKERS) if subject_size == 1 else subject_of(draw, subject_size, plural=True)
    time = draw.one(draw.one((HABITS, LAST)))
    what = tenseless_predicate(draw, draw.one((2, 3, 5, 6)))
    group = verb_group(what.verb, time.tense, subject.features).measured_finite()
    said = statement(subject, group, what)
    return Sentence(f"{controlling(time)}, {said.english}", f"{time.french}, {said.french}")


def tense_end(draw: Draw, distance: int) -> Sentence:
    """Make `The boys read the letter every day` or `yesterday`: the last words decide."""
    subject = draw.one(SPEAKERS) if draw.chance(0.2) else people(draw, draw.one((2, 2, 3)), plural=True)
    time = draw.one(draw.one((HABITS, (YESTERDAY, *LAST))))
    what = tenseless_predicate(draw, distance)
    group = verb_group(what.verb, time.tense, subject.features).measured_finite()
    said = statement(subject, group, what)
    return Sentence(f"{said.english} {controlling(time)}", f"{said.french} {time.french}")


def question(draw: Draw, distance: int) -> Sentence:
    """Make `Did the boys near the door sing?`: the auxiliary before the subject decides."""
    subject = draw.one(SHORT_SUBJECTS) if distance == 1 else subject_of(draw, distance, draw.chance())
    what = predicate(draw) if draw.chance(0.8) else Predicate(draw.one(MOVEMENTS))
    gendered = what.verb.with_etre and subject.features.first_person
    tenses = ["present", "future"] if gendered else ["present", "past", "future"]
    tense = draw.one((*tenses, "imperfect") if what.verb in LASTING else tenses)
    asked = [("", ""), ("why", "pourquoi"), ("when", "quand")]
    if what.verb in ACTIONS:
        asked.append(("where", "où"))
    if tense == "imperfect" or what.verb in MEETINGS:
        asked = asked[:2]
    english, french = draw.one(asked)
    group = verb_group(what.verb, tense, subject.features, with_do=True).measured("verb", "finite")
    return Sentence(
        words(english, CONTROLLER + group.auxiliary, subject.english, group.verb, what.english),
        words(french, "est-ce que", subject.french, group.french, what.french),
        end="?",
    )
