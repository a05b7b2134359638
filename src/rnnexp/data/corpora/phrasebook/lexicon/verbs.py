"""The verbs of the phrasebook, each with its only translation."""

from rnnexp.data.corpora.phrasebook.lexicon.morphology import Verb, regular_verb


def verbs(table: str, with_etre: bool = False) -> tuple[Verb, ...]:
    """Parse rows of `base third past progressive | [se] infinitive` or `| [se] je il nous ils future participle`."""
    rows = []
    for row in table.strip().splitlines():
        english, _, french = row.partition(" | ")
        base, third, past, progressive = english.split()
        reflexive = french.startswith("se ")
        forms = french.removeprefix("se ").split()
        if len(forms) == 1:
            present, future, participle = regular_verb(forms[0])
        else:
            je, il, nous, ils, future, participle = forms
            present = (je, il, nous, ils)
        rows.append(
            Verb(base, third, past, progressive, present, future, participle, with_etre or reflexive, reflexive)
        )
    return tuple(rows)


INTRANSITIVES = verbs("""
sleep sleeps slept sleeping | dors dort dormons dorment dormir dormi
sing sings sang singing | chanter
work works worked working | travailler
dance dances danced dancing | danser
smile smiles smiled smiling | souris sourit sourions sourient sourir souri
cry cries cried crying | pleurer
laugh laughs laughed laughing | ris rit rions rient rir ri
run runs ran running | cours court courons courent courr couru
swim swims swam swimming | nager
cough coughs coughed coughing | tousser
wait waits waited waiting | attends attend attendons attendent attendr attendu
eat eats ate eating | manger
dream dreams dreamed dreaming | rêver
pray prays prayed praying | prier
shout shouts shouted shouting | crier
hesitate hesitates hesitated hesitating | hésiter
whistle whistles whistled whistling | siffler
obey obeys obeyed obeying | obéis obéit obéissons obéissent obéir obéi
travel travels traveled traveling | voyager
yawn yawns yawned yawning | bâiller
""")
MOVEMENTS = verbs(
    """
arrive arrives arrived arriving | arriver
leave leaves left leaving | pars part partons partent partir parti
return returns returned returning | reviens revient revenons reviennent reviendr revenu
fall falls fell falling | tomber
stay stays stayed staying | rester
stop stops stopped stopping | se arrêter
apologize apologizes apologized apologizing | se excuser
hurry hurries hurried hurrying | se dépêcher
rest rests rested resting | se reposer
escape escapes escaped escaping | se échapper
kneel kneels knelt kneeling | se agenouiller
""",
    with_etre=True,
)
ARRIVE, FALL = MOVEMENTS[0], MOVEMENTS[3]
MEETINGS = verbs("""
see sees saw seeing | vois voit voyons voient verr vu
help helps helped helping | aider
call calls called calling | appelle appelle appelons appellent appeller appelé
thank thanks thanked thanking | remercier
follow follows followed following | suis suit suivons suivent suivr suivi
meet meets met meeting | rencontrer
invite invites invited inviting | inviter
greet greets greeted greeting | saluer
congratulate congratulates congratulated congratulating | féliciter
watch watches watched watching | regarder
recognize recognizes recognized recognizing | reconnais reconnaît reconnaissons reconnaissent reconnaîtr reconnu
protect protects protected protecting | protège protège protégeons protègent protéger protégé
hear hears heard hearing | entends entend entendons entendent entendr entendu
encourage encourages encouraged encouraging | encourager
insult insults insulted insulting | insulter
comfort comforts comforted comforting | consoler
""")
"""Verbs of momentary events, with people as objects."""
FEELINGS = verbs("""
know knows knew knowing | connais connaît connaissons connaissent connaîtr connu
love loves loved loving | aimer
hate hates hated hating | détester
admire admires admired admiring | admirer
respect respects respected respecting | respecter
envy envies envied envying | envier
fear fears feared fearing | crains craint craignons craignent craindr craint
despise despises despised despising | mépriser
""")
"""Verbs of lasting feelings for people: in the present only, since the English past would be an imparfait."""
ACTIONS = verbs("""
buy buys bought buying | achète achète achetons achètent achèter acheté
sell sells sold selling | vends vend vendons vendent vendr vendu
lose loses lost losing | perds perd perdons perdent perdr perdu
find finds found finding | trouver
hide hides hid hiding | cacher
forget forgets forgot forgetting | oublier
steal steals stole stealing | voler
choose chooses chose choosing | choisis choisit choisissons choisissent choisir choisi
keep keeps kept keeping | garder
carry carries carried carrying | porter
touch touches touched touching | toucher
bring brings brought bringing | apporter
describe describes described describing | décris décrit décrivons décrivent décrir décrit
draw draws drew drawing | dessiner
clean cleans cleaned cleaning | nettoie nettoie nettoyons nettoient nettoier nettoyé
take takes took taking | prends prend prenons prennent prendr pris
show shows showed showing | montrer
examine examines examined examining | examiner
use uses used using | utiliser
borrow borrows borrowed borrowing | emprunter
""")
"""Verbs with things as objects."""
PORTRAYALS = verbs("""
paint paints painted painting | peins peint peignons peignent peindr peint
photograph photographs photographed photographing | photographier
""") + tuple(verb for verb in ACTIONS if verb.base in ("describe", "draw"))
"""Verbs with places as objects."""
READ, CUT, SHUT, HIT, PUT, SET = TENSELESS = verbs("""
read reads read reading | lis lit lisons lisent lir lu
cut cuts cut cutting | couper
shut shuts shut shutting | fermer
hit hits hit hitting | frapper
put puts put putting | mets met mettons mettent mettr mis
set sets set setting | poser
""")
"""Verbs whose English plural is the same in the present and the past."""
(BELONG, LIKE) = verbs("""
belong belongs belonged belonging | appartiens appartient appartenons appartiennent appartiendr appartenu
like likes liked liking | aimer
""")
GO, COME = verbs(
    """
go goes went going | vais va allons vont ir allé
come comes came coming | viens vient venons viennent viendr venu
""",
    with_etre=True,
)
TALK, THINK, DREAM, WRITE, ANSWER, NEED = verbs("""
talk talks talked talking | parler
think thinks thought thinking | penser
dream dreams dreamed dreaming | rêver
write writes wrote writing | écris écrit écrivons écrivent écrir écrit
answer answers answered answering | réponds répond répondons répondent répondr répondu
need needs needed needing | ai a avons ont aur eu
""")
"""Verbs with a preposition in one of the languages. `To need` is `avoir besoin`."""
