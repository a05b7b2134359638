"""Numbers that others have published, beside ours where data, split and scoring agree, else why not."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.records.measures import MEASURES, Measure

ACCURACY, LITERATURE_BLEU = MEASURES["classification"][0], MEASURES["translation"][1]


@dataclass(frozen=True)
class Published:
    """One number, and all that decides whether another may stand beside it."""

    system: str
    score: str
    dataset: str
    """as in `data.name` of result.json"""
    facts: Mapping[str, str]
    """further fields of `data` that must agree; a permutation by its kind"""
    source: str
    cell: str
    bidirectional: bool = False
    split: str = "test"
    scoring: Measure | str = ACCURACY
    """the measure of ours that was computed in the same way, or in words why none was"""
    setting: str = ""
    """what else to know of how it came about"""


ROWS, PIXELS = {"view": "rows", "permutation": "none"}, {"view": "pixels", "permutation": "none"}
BIT_REVERSED, SHUFFLED = ({"view": "pixels", "permutation": kind} for kind in ("bit-reversal", "fixed random"))
SOURCE_DOCUMENT = "the source document, MNIST"
CHPC = "Neurulation/CHPC-Autoresearch, README"
S4 = "Gu et al., 2022, S4, arXiv:2111.00396, table 6"
BAI = "Bai et al., 2018, TCN, arXiv:1803.01271, table 1"
LIUM = "Caglayan et al., 2017, LIUM-CVC at WMT17, arXiv:1707.04481"
TWO_EPOCHS = "2 layers, hidden 128, Adam 0.01, batch 100, 2 epochs"
SMALL = "about 70k parameters, untuned"
WIDE = "2 layers, hidden 256, 30 epochs, 5 seeds"
SPACY = "BLEU over spaCy's lower-cased words, which is neither of our two"
LIUM_SETTING = "joint BPE of 10k, embedding 128, GRU 256, beam 12"
NO_SCORE = "a training loss in nats per token, without a held-out split: nothing of ours answers to it"


def _multi30k(source: str, target: str, test: str) -> dict[str, str]:
    return {"source_lang": source, "target_lang": target, "test": test}


PUBLISHED: Sequence[Published] = (
    Published("LSTM", "97.21", "MNIST", ROWS, SOURCE_DOCUMENT, "lstm", setting=TWO_EPOCHS),
    Published("Bi-LSTM", "97.57", "MNIST", ROWS, SOURCE_DOCUMENT, "lstm", bidirectional=True, setting=TWO_EPOCHS),
    Published("SRN", "97.89 ± 0.35", "MNIST", ROWS, CHPC, "srn", split="validation", setting=WIDE),
    Published("LSTM", "98.95 ± 0.11", "MNIST", ROWS, CHPC, "lstm", split="validation", setting=WIDE),
    Published("GRU", "99.06 ± 0.14", "MNIST", ROWS, CHPC, "gru", split="validation", setting=WIDE),
    Published("LSTM", "98.9", "MNIST", PIXELS, S4, "lstm"),
    Published("UR-LSTM", "99.28", "MNIST", PIXELS, S4, "lstm", setting="gates refined"),
    Published("UR-GRU", "99.27", "MNIST", PIXELS, S4, "gru", setting="gates refined"),
    Published("LSTM", "95.11", "MNIST", BIT_REVERSED, S4, "lstm"),
    Published("UR-LSTM", "96.96", "MNIST", BIT_REVERSED, S4, "lstm", setting="gates refined"),
    Published("UR-GRU", "96.51", "MNIST", BIT_REVERSED, S4, "gru", setting="gates refined"),
    Published("SRN", "21.5", "MNIST", PIXELS, BAI, "srn", setting=SMALL),
    Published("LSTM", "87.2", "MNIST", PIXELS, BAI, "lstm", setting=SMALL),
    Published("GRU", "96.2", "MNIST", PIXELS, BAI, "gru", setting=SMALL),
    Published("SRN", "25.3", "MNIST", SHUFFLED, BAI, "srn", setting=SMALL),
    Published("LSTM", "85.7", "MNIST", SHUFFLED, BAI, "lstm", setting=SMALL),
    Published("GRU", "87.3", "MNIST", SHUFFLED, BAI, "gru", setting=SMALL),
    *(
        Published("Bi-GRU + attention", score, "multi30k", _multi30k("en", target, f"test_{year}_flickr"), LIUM, "gru",
                  bidirectional=True, scoring=LITERATURE_BLEU, setting=LIUM_SETTING)
        for target, scores in (("de", ("39.00", "31.25")), ("fr", ("59.02", "51.93")))
        for year, score in zip((2016, 2017), scores, strict=True)
    ),
    Published("Bi-GRU 512 + attention", "28.30", "multi30k", _multi30k("de", "en", "test_2016_flickr"),
              "bentrevett/pytorch-seq2seq, notebook 3", "gru", bidirectional=True, scoring=SPACY, setting="greedy"),
    Published("GRU + attention", "loss 0.63–0.70", "tatoeba", {"source_lang": "fr", "target_lang": "en"},
              "the source document, French to English", "gru", split="training", scoring=NO_SCORE),
)  # fmt: skip
"""From the project's NUMBERS.md."""


@dataclass(frozen=True)
class Beside:
    """A published number, what we have for it, and why the two do not compare."""

    published: Published
    ours: Setting | None
    """the best of ours of the same cell and direction; None if there is none, or it must not stand there"""
    reason: str
    """empty where they compare"""


def beside(group: ComparisonGroup) -> list[Beside]:
    """Every published number on the group's dataset."""
    rows = []
    for published in PUBLISHED:
        of_dataset = [each for each in group.measured if _fact(each, "name") == published.dataset]
        if not of_dataset:
            continue
        alike = [each for each in of_dataset if _network(each) == (published.cell, published.bidirectional)]
        reason = _why_not((alike or of_dataset)[0], published)
        rows.append(Beside(published, alike[0] if alike and not reason else None, reason))
    return rows


def _why_not(ours: Setting, published: Published) -> str:
    for fact, theirs in published.facts.items():
        if (own := _fact(ours, fact)) != theirs:
            return f"{fact} {theirs}, ours {own}"
    if published.split != "test":
        return published.scoring if isinstance(published.scoring, str) else f"{published.split} split, ours is test"
    if isinstance(published.scoring, str):
        return published.scoring
    if not ours.by_seed(published.scoring):
        # Of the two tracks of BLEU one is always there, the other only when asked for.
        return "scored on lower-cased, tokenised text; ours is not: train with task.literature=true"
    run = next(iter(ours.counted.values()))
    tested, whole = run.number("num_test_samples"), run.number("data.num_test")
    return "" if tested == whole else f"the whole test split, ours {tested or 0:,.0f} samples of it"


def _fact(setting: Setting, name: str) -> str:
    value = next(iter(setting.counted.values())).text(f"data.{name}") or "none"
    if name == "permutation" and value != "none":
        return "bit-reversal" if value == "bitreversal" else "fixed random"
    return value


def _network(setting: Setting) -> tuple[str, bool]:
    run = next(iter(setting.counted.values()))
    return run.text("model.cell"), run.text("model.bidirectional") == "True"
