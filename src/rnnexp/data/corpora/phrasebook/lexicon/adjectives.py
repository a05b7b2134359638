"""The adjectives of the phrasebook, each with its only translation."""

from rnnexp.data.corpora.phrasebook.lexicon.morphology import Adjective


def adjectives(table: str) -> tuple[Adjective, ...]:
    """Parse rows of `english masculine [feminine [before_vowel]]`; regular feminines are left out."""
    rows = []
    for row in table.strip().splitlines():
        english, masculine, *others = row.split()
        regular = masculine if masculine.endswith("e") else f"{masculine}e"
        feminine, before_vowel = (*others, *(regular, masculine)[len(others) :])
        rows.append(Adjective(english, masculine, feminine, before_vowel))
    return tuple(rows)


COLORS = adjectives("""
green vert
white blanc blanche
black noir
gray gris
blue bleu
red rouge
yellow jaune
purple violet violette
""")
ORIGINS = adjectives("""
Italian italien italienne
Spanish espagnol
French français
German allemand
Portuguese portugais
Chinese chinois
Japanese japonais
""")
STATES = adjectives("""
lost perdu
forgotten oublié
hidden caché
stolen volé
damaged abîmé
repaired réparé
""")
THING_QUALITIES = adjectives("""
heavy lourd
expensive cher chère
precious précieux précieuse
dusty poussiéreux poussiéreuse
ugly laid
worn usé
surprising surprenant
dirty sale
useful utile
strange étrange
fragile fragile
rare rare
""")
PLACE_QUALITIES = adjectives("""
charming charmant
dusty poussiéreux poussiéreuse
mysterious mystérieux mystérieuse
imposing imposant
surprising surprenant
impressive impressionnant
dark sombre
strange étrange
""")
HUMAN_QUALITIES = adjectives("""
proud fier fière
jealous jaloux jalouse
curious curieux curieuse
generous généreux généreuse
lazy paresseux paresseuse
patient patient
polite poli
tired fatigué
worried inquiet inquiète
intelligent intelligent
discreet discret discrète
cruel cruel cruelle
famous célèbre
rich riche
""")
# Used only after a verb: next to a noun some of them have another meaning.
HUMAN_PREDICATES = adjectives("""
happy heureux heureuse
ready prêt
surprised surpris
disappointed déçu
satisfied satisfait
injured blessé
alone seul
nervous nerveux nerveuse
serious sérieux sérieuse
absent absent
kind gentil gentille
""")
OLD, BEAUTIFUL, NEW, SMALL, PRETTY, BIG = adjectives("""
old vieux vieille vieil
beautiful beau belle bel
new nouveau nouvelle nouvel
small petit
pretty joli
big grand
""")
(YOUNG,) = adjectives("young jeune")
