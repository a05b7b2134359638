"""Verbs with their auxiliaries, negation and adverbs, and in French the pronouns before the verb."""

from typing import NamedTuple

from rnnexp.data.corpora.phrasebook.lexicon.morphology import (
    AVOIR,
    ETRE,
    FUTURE_ENDINGS,
    MEASURED,
    Features,
    Verb,
    agreeing_participle,
    imperfect,
    person,
)

NEGATIONS = {"not": "pas", "never": "jamais", "no longer": "plus"}
REFLEXIVES = ("me", "se", "nous", "se")


class Adverb(NamedTuple):
    """An adverb, before the English verb and after the French finite verb."""

    english: str
    french: str


class Pronoun(NamedTuple):
    """An object pronoun: after the English verb, before the French."""

    english: str
    french: str
    features: Features | None
    """the features of its antecedent, for a participle; None if English does not show them"""


HIM = Pronoun("him", "le", Features(feminine=False, plural=False))
HER = Pronoun("her", "la", Features(feminine=True, plural=False))
THEM = Pronoun("them", "les", None)
NO_ADVERB = Adverb("", "")


class VerbGroup(NamedTuple):
    """The parts of a verb group in their order; missing ones are empty."""

    auxiliary: str
    negation: str
    adverb: str
    verb: str
    pronoun: str
    ne: str
    clitics: str
    finite: str
    negative: str
    french_adverb: str
    participle: str

    @property
    def english(self) -> str:
        """The English words."""
        return words(*self[:5])

    @property
    def french(self) -> str:
        """The French words, in full forms."""
        return words(*self[5:])

    def measured(self, *parts: str) -> "VerbGroup":
        """Return the group with the mark of the measured word before some parts."""
        return self._replace(**{part: MEASURED + getattr(self, part) for part in parts})

    def measured_finite(self) -> "VerbGroup":
        """Return the group with the mark before the finite verb, in both languages."""
        return self.measured("auxiliary" if self.auxiliary else "verb", "finite")


def words(*parts: str) -> str:
    """Join the parts that are not empty."""
    return " ".join(filter(None, parts))


def verb_group(
    verb: Verb,
    tense: str,
    subject: Features,
    *,
    negation: str = "",
    adverb: Adverb = NO_ADVERB,
    pronoun: Pronoun | None = None,
    with_do: bool = False,
    ne: bool = False,
) -> VerbGroup:
    """Conjugate a verb in both languages.

    Args:
        tense: `present`, `past` (passé composé), `imperfect` (English past progressive) or `future`.
        negation: one of NEGATIONS, or nothing.
        with_do: add English do, does or did even without `not`, as in questions.
        ne: add French ne, as after aucun and personne.
    """
    auxiliary, english = english_forms(verb, tense, subject, with_do or negation == "not")
    who = person(subject)
    participle = ""
    if tense == "past":
        finite = (ETRE if verb.with_etre else AVOIR)[who]
        decides = subject if verb.with_etre else pronoun.features if pronoun else None
        participle = agreeing_participle(verb.participle, decides) if decides else verb.participle
    elif tense == "imperfect":
        finite = imperfect(verb, subject)
    elif tense == "future":
        finite = verb.future + FUTURE_ENDINGS[who]
    else:
        finite = verb.present[who]
    return VerbGroup(
        auxiliary,
        negation,
        adverb.english,
        english,
        pronoun.english if pronoun else "",
        "ne" if ne or negation else "",
        words(REFLEXIVES[who] if verb.reflexive else "", pronoun.french if pronoun else ""),
        finite,
        NEGATIONS[negation] if negation else "",
        adverb.french,
        participle,
    )


def english_forms(verb: Verb, tense: str, subject: Features, with_do: bool) -> tuple[str, str]:
    """Return the auxiliary, if any, and the form of the verb."""
    singular = not (subject.plural or subject.first_person)
    if tense == "future":
        return "will", verb.base
    if tense == "imperfect":
        return "were" if subject.plural else "was", verb.progressive
    if tense == "past":
        return ("did", verb.base) if with_do else ("", verb.past)
    if with_do:
        return "does" if singular else "do", verb.base
    return "", verb.third if singular else verb.base
