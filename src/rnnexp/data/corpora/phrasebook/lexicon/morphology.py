"""Morphology of English and French words: endings, agreement, elision and contraction.

Phrases are strings of words in their full form, `près de le arbre`; `surface` returns their written form,
`près de l'arbre`. Two marks may precede a word, and every function keeps them: `CONTROLLER` before the word that
decides a form, `MEASURED` before the word whose form it decides.
"""

from typing import NamedTuple

CONTROLLER, MEASURED = "<", ">"

VOWELS = "aàâeéèêëiîïoôuûœ"
# There is no elision before an aspirated h: le héros, but l'héroïne. Every other h is mute.
ASPIRATED = frozenset(
    f"{word}{ending}" for word in ("hache", "haie", "hamac", "hangar", "haricot", "harpe") for ending in ("", "s")
) | {"héros"}
BEFORE_VOWEL = {
    **{word: f"{word[:-1]}'" for word in ("le", "la", "de", "que", "ne", "je", "me", "se")},
    "ce": "cet",
    "ma": "mon",
}
CONTRACTIONS = {("à", "le"): "au", ("à", "les"): "aux", ("de", "le"): "du", ("de", "les"): "des"}


class Features(NamedTuple):
    """The gender, number and person of a noun phrase, with which other words agree."""

    feminine: bool
    plural: bool
    first_person: bool = False


class Adjective(NamedTuple):
    """An adjective; `before_vowel` is the masculine singular before a noun that begins with a vowel (bel, vieil)."""

    english: str
    masculine: str
    feminine: str
    before_vowel: str


class Verb(NamedTuple):
    """The principal parts of a verb: English base, third person, past, -ing; French présent of je, il, nous, ils ..."""

    base: str
    third: str
    past: str
    progressive: str
    present: tuple[str, str, str, str]
    future: str
    """the stem: chanter-"""
    participle: str
    with_etre: bool
    reflexive: bool


IMPERFECT_ENDINGS = ("ais", "ait", "ions", "aient")
FUTURE_ENDINGS = ("ai", "a", "ons", "ont")
AVOIR, ETRE = ("ai", "a", "avons", "ont"), ("suis", "est", "sommes", "sont")
ETRE_BY_TENSE = {"present": ("est", "sont"), "imperfect": ("était", "étaient"), "future": ("sera", "seront")}


def begins_with_vowel(word: str) -> bool:
    """Return whether French words elide before this one, which begins with a vowel or a mute h."""
    return (word[:1] in VOWELS and word != "") or (word.startswith("h") and word not in ASPIRATED)


def surface(french: str) -> str:
    """Turn full forms into written ones: l'arbre, qu'il, cet hôtel, mon école, du château, aux filles."""
    written: list[str] = []  # from the last word to the first
    for word in reversed(french.split()):
        bare = word.lstrip(MEASURED)
        mark = word[: len(word) - len(bare)]
        following = written[-1] if written else ""
        if bare in BEFORE_VOWEL and begins_with_vowel(following.lstrip(MEASURED)):
            elided = mark + BEFORE_VOWEL[bare]
            if elided.endswith("'"):
                written[-1] = elided + following
            else:
                written.append(elided)
        elif (bare, following) in CONTRACTIONS:
            written[-1] = mark + CONTRACTIONS[bare, following]
        else:
            written.append(word)
    return " ".join(reversed(written))


def indefinite_article(word: str) -> str:
    """Return `a` or `an`, by the first sound of the word."""
    return "an" if word[0] in "aeiouAEIOU" and word != "useful" else "a"


def french_plural(singular: str) -> str:
    """Return the regular plural of a noun or a masculine adjective: clés, tapis, chapeaux."""
    if singular[-1] in "sx":
        return singular
    return f"{singular}x" if singular.endswith("eau") else f"{singular}s"


def agreeing(adjective: Adjective, features: Features) -> str:
    """Return the form of an adjective after its noun or after a verb."""
    if features.feminine:
        return f"{adjective.feminine}s" if features.plural else adjective.feminine
    return french_plural(adjective.masculine) if features.plural else adjective.masculine


def agreeing_participle(participle: str, features: Features) -> str:
    """Return the form of a past participle: acheté, achetée, achetés, achetées; mis, mise, mis, mises."""
    return agreeing(Adjective("", participle, f"{participle}e", ""), features)


def person(features: Features) -> int:
    """Return the index of a subject's form among those of je, il, nous, ils."""
    return 2 * features.plural + (not features.first_person)


def imperfect(verb: Verb, subject: Features) -> str:
    """Return the imparfait, from the stem of the present's first person plural."""
    stem, ending = verb.present[2].removesuffix("ons"), IMPERFECT_ENDINGS[person(subject)]
    if ending == "ions":
        stem = f"{stem[:-1]}c" if stem.endswith("ç") else stem.removesuffix("e")
    return stem + ending


def regular_verb(infinitive: str) -> tuple[tuple[str, str, str, str], str, str]:
    """Return present, future stem and participle of a regular verb in -er: nager, nageons; danser, dansons."""
    stem = infinitive.removesuffix("er")
    before_o = f"{stem}e" if stem.endswith("g") else f"{stem[:-1]}ç" if stem.endswith("c") else stem
    return (f"{stem}e", f"{stem}e", f"{before_o}ons", f"{stem}ent"), infinitive, f"{stem}é"
