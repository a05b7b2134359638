"""The nouns of the phrasebook, each with its only translation.

It has things, and people whose gender the English word shows: a waitress, but no doctor.
"""

from typing import NamedTuple

from rnnexp.data.corpora.phrasebook.lexicon.morphology import french_plural


class Noun(NamedTuple):
    """A noun with its plural in both languages; its kind and its traits decide which words go with it."""

    english: str
    english_plural: str
    french: str
    french_plural: str
    feminine: bool
    kind: str
    traits: frozenset[str]


def nouns(kind: str, table: str) -> tuple[Noun, ...]:
    """Parse rows of `english[/plural] french[/plural] gender traits...`; regular plurals are left out."""
    rows = []
    for row in table.strip().splitlines():
        english, french, gender, *traits = row.split()
        one, _, many = english.partition("/")
        un, _, plusieurs = french.partition("/")
        rows.append(
            Noun(one, many or f"{one}s", un, plusieurs or french_plural(un), gender == "f", kind, frozenset(traits))
        )
    return tuple(rows)


# old, young: the adjectives that go with the noun.
HUMANS = nouns(
    "human",
    """
man/men homme m old young
boy garçon m young
king roi m old young
prince prince m old young
uncle oncle m old young
brother frère m young
father père m old young
lord seigneur m old young
grandfather grand-père/grands-pères m old
nephew neveu/neveux m young
waiter serveur m old young
actor acteur m old young
monk moine m old young
salesman/salesmen vendeur m old young
hero/heroes héros m old young
duke duc m old young
policeman/policemen policier m old young
widower veuf m old young
emperor empereur m old young
wizard sorcier m old young
woman/women femme f old young
girl fille f young
queen reine f old young
princess/princesses princesse f old young
aunt tante f old young
sister sœur f young
mother mère f old young
lady/ladies dame f old young
grandmother grand-mère/grands-mères f old
niece nièce f young
waitress/waitresses serveuse f old young
actress/actresses actrice f old young
nun religieuse f old young
saleswoman/saleswomen vendeuse f old young
heroine héroïne f old young
duchess/duchesses duchesse f old young
policewoman/policewomen policière f old young
widow veuve f old young
empress/empresses impératrice f old young
witch/witches sorcière f old young
""",
)

# in, on, under: the prepositions that go with the noun; building: has doors, windows, walls and an entrance, which are
# parts; home: also has a kitchen and a garden.
PLACES = nouns(
    "place",
    """
garden jardin m in part domestic
kitchen cuisine f in part domestic
door porte f part shut
window fenêtre f part shut
wall mur m part
entrance entrée f part
house maison f in building home
school école f in building home
church/churches église f in building
hotel hôtel m in building home
hospital hôpital/hôpitaux m in building home
station gare f in building
castle château m in building home
museum musée m in building
factory/factories usine f in building
library/libraries bibliothèque f in building
inn auberge f in building home
shop magasin m in building
tower tour f in building
hangar hangar m in building
bridge pont m on under
tree arbre m under
oak chêne m under
bench/benches banc m on
bed lit m on
sofa canapé m on
armchair fauteuil m
fountain fontaine f
hedge haie f
statue statue f
column colonne f
car voiture f in
truck camion m in
boat bateau m in
""",
)

# read, shut: the verbs that go with the noun.
THINGS = nouns(
    "thing",
    """
key clé f
book livre m read
letter lettre f read
newspaper journal/journaux m read
notebook cahier m read
map carte f read
poster affiche f read
album album m read
bag sac m
watch/watches montre f
hat chapeau m
umbrella parapluie m
suitcase valise f shut
box/boxes boîte f shut
knife/knives couteau m
plate assiette f
bottle bouteille f
basket panier m
lamp lampe f
guitar guitare f
dress/dresses robe f
shirt chemise f
coat manteau m
scarf/scarves écharpe f
tool outil m
ax/axes hache f
harp harpe f
painting tableau m
pencil crayon m
ring bague f
sword épée f
violin violon m
screen écran m
needle aiguille f
clock horloge f
jewel bijou/bijoux m
toy jouet m
hammer marteau m
flag drapeau m
envelope enveloppe f shut
ladder échelle f
helmet casque m
hammock hamac m
candle bougie f
carpet tapis m
mirror miroir m
pillow oreiller m
object objet m
accordion accordéon m
harmonica harmonica m
anchor ancre f
""",
)

TO_SHUT = nouns(
    "plain",
    """
gate portail m
drawer tiroir m
wardrobe armoire f
cage cage f
""",
) + tuple(noun for noun in PLACES + THINGS if "shut" in noun.traits)
TO_CUT = nouns(
    "plain",
    """
cake gâteau m
apple pomme f
cheese fromage m
onion oignon m
orange orange f
rope corde f
pear poire f
carrot carotte f
lemon citron m
melon melon m
bean haricot m
""",
)
TO_HIT = nouns(
    "plain",
    """
ball balle f
drum tambour m
bell cloche f
table table f
gong gong m
""",
)
