"""Ours stands beside a published number only where data, split and scoring agree."""

from collections.abc import Callable
from typing import Any

import pytest

from rnnexp.report.published import PUBLISHED, Beside, beside
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.runs import Run
from rnnexp.report.render.document import Table
from rnnexp.report.tables import published_table

Made = Callable[..., Run]
Grouped = Callable[..., ComparisonGroup]
ENGLISH_GERMAN = {
    "name": "multi30k",
    "source_lang": "en",
    "target_lang": "de",
    "test": "test_2016_flickr",
    "num_test": 100,
}


def by_score(group: ComparisonGroup) -> dict[str, Beside]:
    return {each.published.score: each for each in beside(group)}


def mnist(made: Made, cell: str, **data: object) -> Run:
    shown = {"name": "MNIST", "view": "rows", "permutation": None, "num_test": 100} | data
    return made(cell, acc=0.97, result={"data": shown})


def test_the_same_network_on_the_same_data_compares(made: Made, group_of: Grouped) -> None:
    rows = by_score(group_of([mnist(made, "lstm"), mnist(made, "gru")]))
    assert rows["97.21"].reason == ""
    assert rows["97.21"].ours is not None
    assert rows["97.21"].ours.label == "lstm"
    # There is no bidirectional one to stand beside this.
    assert (rows["97.57"].reason, rows["97.57"].ours) == ("", None)


@pytest.mark.parametrize(
    ("data", "score", "reason"),
    [
        ({}, "98.95 ± 0.11", "validation split, ours is test"),
        ({}, "98.9", "view pixels, ours rows"),
        ({"view": "pixels"}, "97.21", "view rows, ours pixels"),
        ({"view": "pixels", "permutation": "random92916"}, "95.11", "permutation bit-reversal, ours fixed random"),
        ({"view": "pixels", "permutation": "bitreversal"}, "85.7", "permutation fixed random, ours bit-reversal"),
        ({"view": "pixels", "permutation": "bitreversal"}, "98.9", "permutation none, ours bit-reversal"),
        ({"num_test": 10_000}, "97.21", "the whole test split, ours 100 samples of it"),
    ],
)
def test_why_not(made: Made, group_of: Grouped, data: dict[str, Any], score: str, reason: str) -> None:
    row = by_score(group_of([mnist(made, "lstm", **data)]))[score]
    assert (row.reason, row.ours) == (reason, None)


@pytest.mark.parametrize(
    ("permutation", "score"), [("random92916", "85.7"), ("seed:3", "85.7"), ("bitreversal", "95.11")]
)
def test_permutations_of_one_kind_compare(made: Made, group_of: Grouped, permutation: str, score: str) -> None:
    row = by_score(group_of([mnist(made, "lstm", view="pixels", permutation=permutation)]))[score]
    assert row.reason == ""
    assert row.ours is not None


def captions(made: Made, *, literature: bool, data: dict[str, Any] = ENGLISH_GERMAN) -> Run:
    metrics: dict[str, float | None] = {"test/bleu": 37.0}
    if literature:
        metrics["test/literature/bleu"] = 38.0
    task = {"_target_": "rnnexp.tasks.translation.task.TranslationTask"}
    return made(task=task, acc=None, model__bidirectional=True, metrics=metrics, result={"data": data})


def test_raw_bleu_is_not_the_literatures(made: Made, group_of: Grouped) -> None:
    row = by_score(group_of([captions(made, literature=False)]))["39.00"]
    assert row.ours is None
    assert row.reason == "scored on lower-cased, tokenised text; ours is not: train with task.literature=true"


def test_the_literatures_bleu_is(made: Made, group_of: Grouped) -> None:
    group = group_of([captions(made, literature=True)])
    rows = by_score(group)
    assert rows["39.00"].ours is not None
    assert rows["59.02"].reason == "target_lang fr, ours de"
    assert rows["31.25"].reason == "test test_2017_flickr, ours test_2016_flickr"
    table = published_table(group)
    assert isinstance(table, Table)
    # What compares stands first, with our number of the same track.
    assert table.rows[0][1:4] == ["39.00", "38.00 (gru)", "comparable: same data, split and scoring"]
    assert table.kinds[0] == "even"
    assert all(row[3].startswith("not comparable: ") for row in table.rows[1:])


def test_a_scoring_of_their_own_never_compares(made: Made, group_of: Grouped) -> None:
    german_english = ENGLISH_GERMAN | {"source_lang": "de", "target_lang": "en"}
    row = by_score(group_of([captions(made, literature=True, data=german_english)]))["28.30"]
    assert row.reason.startswith("BLEU over spaCy's lower-cased words")


def test_a_training_loss_never_compares(made: Made, group_of: Grouped) -> None:
    tatoeba = {"name": "tatoeba", "source_lang": "fr", "target_lang": "en", "num_test": 100}
    (row,) = beside(group_of([captions(made, literature=False, data=tatoeba)]))
    assert row.reason.startswith("a training loss")


def test_other_data_has_no_published_numbers(made: Made, group_of: Grouped) -> None:
    group = group_of([mnist(made, "lstm", name="Tiny")])
    assert beside(group) == []
    assert published_table(group) is None


def test_every_published_number_can_be_reached() -> None:
    assert len(PUBLISHED) == 23
    names = {"view", "permutation", "source_lang", "target_lang", "test"}
    assert all(set(each.facts) <= names for each in PUBLISHED)
    assert all(each.source for each in PUBLISHED)
