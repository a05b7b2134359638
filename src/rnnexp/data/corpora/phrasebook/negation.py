"""Negative sentences: ne and its second part around the verb, or a negative subject before ne."""

from rnnexp.data.corpora.phrasebook.draw import Draw
from rnnexp.data.corpora.phrasebook.lexicon.morphology import CONTROLLER, Features, Verb, begins_with_vowel
from rnnexp.data.corpora.phrasebook.lexicon.verbs import FEELINGS, MEETINGS
from rnnexp.data.corpora.phrasebook.modifiers import about_human, human_subject, location, modified, people, posture
from rnnexp.data.corpora.phrasebook.noun_phrases import NounPhrase, describe, human, noun_phrase
from rnnexp.data.corpora.phrasebook.predicates import ALWAYS, OFTEN, REALLY, Predicate, predicate
from rnnexp.data.corpora.phrasebook.sentence import SPEAKERS, Sentence, statement
from rnnexp.data.corpora.phrasebook.verb_groups import HER, HIM, NO_ADVERB, THEM, Pronoun, verb_group

TENSES = {
    "not": ("present", "past", "future"),
    "never": ("present", "past", "future"),
    "no longer": ("present", "future"),
}
ADVERBS = {"not": (ALWAYS, OFTEN, REALLY), "never": (REALLY,), "no longer": (REALLY,)}
NOBODY = Features(feminine=False, plural=False)


def negation(draw: Draw, distance: int) -> Sentence:
    """Make a sentence with not, never or no longer: ne before the verb and its pronouns, pas, jamais, plus after."""
    subject = draw.one(SPEAKERS) if draw.chance(0.25) else human_subject(draw, draw.one((0, 0, 3, 4)))
    negative = draw.one(tuple(TENSES))
    pronoun = None
    kind = draw.one(("pronoun", "feeling", "other"))
    tense = draw.one(TENSES[negative])
    if kind == "pronoun":
        what = Predicate(draw.one(MEETINGS))
        pronoun = draw.one(unambiguous_pronouns(what.verb, tense))
    elif kind == "feeling":
        tense = "present"
        whom = people(draw, 2, draw.chance())
        what = Predicate(draw.one(FEELINGS), whom.english, whom.french)
    else:
        what = predicate(draw, indefinite="not a")
    adverb = draw.one(ADVERBS[negative]) if distance == 1 else NO_ADVERB
    group = verb_group(what.verb, tense, subject.features, negation=negative, adverb=adverb, pronoun=pronoun)
    *before, decisive = group.negation.split()
    group = group._replace(negation=" ".join([*before, CONTROLLER + decisive])).measured("verb", "negative")
    return statement(subject, group, what)


def unambiguous_pronouns(verb: Verb, tense: str) -> tuple[Pronoun, ...]:
    """Return the pronouns whose French form shows the gender exactly if the English form does."""
    if tense == "past":  # in the participle
        return HIM, HER
    return (THEM,) if begins_with_vowel(verb.future) else (HIM, HER, THEM)


def nobody(draw: Draw, distance: int) -> NounPhrase:
    """Make a negative subject with `distance` words between its first word and its verb."""
    kinds = []
    if distance == 0 or 3 <= distance <= 8:
        kinds.append("nobody")
    if distance in (1, 2) or 4 <= distance <= 10:
        kinds.append("no")
    if distance == 3 or distance >= 5:
        kinds.append("none")
    kind = draw.one(kinds)
    if kind == "nobody":
        phrase = NounPhrase(f"{CONTROLLER}nobody", "personne", NOBODY, NOBODY)
        return modified(phrase, location(draw, distance)) if distance else phrase
    noun = human(draw)
    if kind == "no":
        phrase = noun_phrase(noun, False, "no", describe(draw, noun, False, distance == 2))
        phrase = phrase._replace(english=CONTROLLER + phrase.english)
        if distance <= 2:
            return phrase
        where = [location(draw, distance - 1)] if distance <= 9 else []
        if distance >= 5:
            where.append(posture(draw, distance - 1, phrase.features))
        return modified(phrase, draw.one(where))
    phrase = noun_phrase(noun, True)
    if distance > 3:
        phrase = modified(phrase, about_human(draw, distance - 3, phrase.features))
    return phrase._replace(
        english=f"{CONTROLLER}none of {phrase.english}",
        french=f"{'aucune' if noun.feminine else 'aucun'} de {phrase.french}",
        features=phrase.features._replace(plural=False),
    )


def negative_subject(draw: Draw, distance: int) -> Sentence:
    """Make a sentence about nobody, no boy, none of the boys: French has ne before the verb at any distance."""
    subject = nobody(draw, distance)
    # None of the boys sings, or sing: both are used in the present.
    tense = draw.one(("past", "future") if "none" in subject.english else ("present", "past", "future"))
    what = predicate(draw, indefinite="not a")
    group = verb_group(what.verb, tense, subject.features, ne=True)
    return statement(subject, group.measured("auxiliary" if group.auxiliary else "verb", "ne"), what)
