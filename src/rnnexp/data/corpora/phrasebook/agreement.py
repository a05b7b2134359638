"""Sentences in which a French word agrees with an earlier word: number, gender, participle, pronoun."""

from rnnexp.data.corpora.phrasebook.draw import Draw
from rnnexp.data.corpora.phrasebook.lexicon.adjectives import (
    BEAUTIFUL,
    BIG,
    COLORS,
    HUMAN_PREDICATES,
    OLD,
    PRETTY,
    SMALL,
    STATES,
)
from rnnexp.data.corpora.phrasebook.lexicon.morphology import (
    ETRE_BY_TENSE,
    MEASURED,
    Adjective,
    agreeing,
    begins_with_vowel,
)
from rnnexp.data.corpora.phrasebook.lexicon.nouns import PLACES, THINGS
from rnnexp.data.corpora.phrasebook.lexicon.verbs import ACTIONS, ARRIVE, FALL, MOVEMENTS
from rnnexp.data.corpora.phrasebook.modifiers import about_object, human_subject, modified, people
from rnnexp.data.corpora.phrasebook.noun_phrases import QUALITIES, noun_phrase
from rnnexp.data.corpora.phrasebook.predicates import ALSO, FINALLY, OFTEN, RECENTLY, Predicate, predicate
from rnnexp.data.corpora.phrasebook.sentence import Sentence, statement
from rnnexp.data.corpora.phrasebook.verb_groups import HER, HIM, NO_ADVERB, Adverb, verb_group, words

BY_BASE = {verb.base: verb for verb in ACTIONS}


def showing_gender(adjectives: tuple[Adjective, ...]) -> tuple[Adjective, ...]:
    """Return the adjectives whose two genders differ."""
    return tuple(adjective for adjective in adjectives if adjective.masculine != adjective.feminine)


GRADABLE = {
    "human": showing_gender(QUALITIES["human"]),
    "thing": showing_gender((*QUALITIES["thing"], OLD, BEAUTIFUL, SMALL, PRETTY)),
    "place": showing_gender((*QUALITIES["place"], OLD, BEAUTIFUL, SMALL, PRETTY, BIG)),
}
PREDICATED = {
    "human": GRADABLE["human"] + HUMAN_PREDICATES,
    "thing": GRADABLE["thing"] + showing_gender(COLORS + STATES),
    "place": GRADABLE["place"],
}
DONE_TOGETHER = tuple(
    (BY_BASE[first], BY_BASE[second])
    for first, second in (
        ("buy", "sell"),
        ("buy", "hide"),
        ("buy", "lose"),
        ("take", "hide"),
        ("take", "clean"),
        ("take", "examine"),
        ("find", "hide"),
        ("find", "lose"),
        ("find", "sell"),
        ("find", "draw"),
        ("choose", "buy"),
        ("choose", "draw"),
        ("borrow", "lose"),
        ("borrow", "clean"),
        ("bring", "show"),
        ("steal", "sell"),
        ("steal", "hide"),
        ("examine", "describe"),
        ("examine", "clean"),
    )
)
QUICKLY = (Adverb("quickly", "rapidement"), Adverb("immediately", "aussitôt"), FINALLY)
VERY_QUICKLY = (
    Adverb("very quickly", "très rapidement"),
    Adverb("almost immediately", "presque aussitôt"),
)


def number(draw: Draw, distance: int) -> Sentence:
    """Make a sentence whose verb agrees with its subject; English past and future do not repeat the number."""
    adverb = draw.one((FINALLY, ALSO, OFTEN)) if distance == 1 else NO_ADVERB
    subject = human_subject(draw, 0 if adverb.english else distance, controls=True)
    tense = "past" if adverb.english or draw.chance() else "future"
    what = predicate(draw)
    group = verb_group(what.verb, tense, subject.features, adverb=adverb).measured_finite()
    return statement(subject, group, what, attractor=subject.nearest.plural != subject.features.plural)


def gender(draw: Draw, distance: int) -> Sentence:
    """Make a sentence whose adjective after être agrees with the subject."""
    kind = draw.one(("human", "thing", "place"))
    shortest_modifier = {"human": 2, "thing": 2, "place": 3}[kind]
    sizes = [size for size in (1, 2, 3) if distance == size or distance - size >= shortest_modifier]
    size = draw.one(sizes)
    modifier_size = distance - size
    if kind == "human":
        subject = human_subject(draw, modifier_size, controls=True)
    else:
        subject = noun_phrase(draw.one(THINGS if kind == "thing" else PLACES), draw.chance(), controls=True)
        if modifier_size:
            subject = modified(subject, about_object(draw, modifier_size, subject.features, kind))
    very = size == 3 or (size == 2 and draw.chance())
    tense = "future" if size - very == 2 else draw.one(("present", "imperfect"))
    adjective = draw.one(GRADABLE[kind] if very else PREDICATED[kind])
    plural = subject.features.plural
    english = {"future": "will be", "present": "are" if plural else "is", "imperfect": "were" if plural else "was"}
    return Sentence(
        words(subject.english, english[tense], "very" if very else "", MEASURED + adjective.english),
        words(
            subject.french,
            ETRE_BY_TENSE[tense][plural],
            "très" if very else "",
            MEASURED + agreeing(adjective, subject.features),
        ),
        attractor=subject.nearest.feminine != subject.features.feminine,
    )


def participle(draw: Draw, distance: int) -> Sentence:
    """Make a sentence whose participle after être agrees with the subject."""
    adverb = draw.one((FINALLY, ALSO)) if distance == 1 else NO_ADVERB
    modifier_size = 0 if adverb.english else distance
    if draw.chance(0.7):
        verb = draw.one(MOVEMENTS)
        subject = human_subject(draw, modifier_size, controls=True)
    else:
        subject = noun_phrase(draw.one(THINGS), draw.chance(), controls=True)
        verb = ARRIVE if modifier_size == 2 else draw.one((ARRIVE, FALL))
        if modifier_size:
            subject = modified(subject, about_object(draw, modifier_size, subject.features, "thing"))
    when = draw.one((None, *RECENTLY))
    group = verb_group(verb, "past", subject.features, adverb=adverb).measured("verb", "participle")
    what = Predicate(verb, when.english, when.french) if when else Predicate(verb)
    return statement(subject, group, what, attractor=subject.nearest != subject.features)


def clitic(draw: Draw, distance: int) -> Sentence:
    """Make a sentence with le or la for `it`, by the gender of the thing; in the past the participle shows it."""
    thing = noun_phrase(draw.one(THINGS), plural=False, controls=True)
    subject = people(draw, draw.one((2, 3)), draw.chance())
    first, second = draw.one(DONE_TOGETHER)
    adverb = draw.one(((NO_ADVERB,), QUICKLY, VERY_QUICKLY)[distance - 2]) if distance <= 4 else NO_ADVERB
    shown_by_participle = begins_with_vowel(second.future)
    tense = "past" if shown_by_participle else draw.one(("present", "past", "future"))
    what = thing
    if distance >= 5:
        what = modified(thing, about_object(draw, distance - 2, thing.features, "thing", plural=True))
    it = (HER if thing.features.feminine else HIM)._replace(english=f"{MEASURED}it", features=thing.features)
    before = verb_group(first, tense, subject.features)
    after = verb_group(second, tense, subject.features, adverb=adverb, pronoun=it)._replace(auxiliary="")
    after = after.measured("participle" if tense == "past" else "clitics")
    return Sentence(
        words(subject.english, before.english, what.english, "and", after.english),
        words(subject.french, before.french, what.french, "et", after.french),
        attractor=what.nearest.feminine != thing.features.feminine,
    )
