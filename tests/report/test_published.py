"""Measured numbers are compared with published ones only if data, split and scoring agree."""

from collections.abc import Callable
from typing import Any

import pytest

from rnnexp.report.published import NOT_STATED, PublishedComparison, compare_with_published, published_numbers
from rnnexp.report.recipes import recipe_table
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.runs import Run
from rnnexp.report.render.document import Table
from rnnexp.report.tables import published_table
from rnnexp.tasks.registry import CLASSIFICATION, TRANSLATION

Made = Callable[..., Run]
Grouped = Callable[..., ComparisonGroup]
ENGLISH_GERMAN = {
    "name": "multi30k",
    "source_lang": "en",
    "target_lang": "de",
    "test": "test_2016_flickr",
    "num_test": 100,
}


def by_score(group: ComparisonGroup) -> dict[str, PublishedComparison]:
    return {each.published.score: each for each in compare_with_published(group)}


def mnist(made: Made, cell: str, **data: object) -> Run:
    shown = {"name": "MNIST", "view": "rows", "permutation": None, "num_test": 100} | data
    return made(cell, acc=0.97, result={"data": shown})


def test_the_same_network_on_the_same_data_compares(made: Made, group_of: Grouped) -> None:
    rows = by_score(group_of([mnist(made, "lstm"), mnist(made, "gru")]))
    assert rows["97.21"].reason == ""
    assert rows["97.21"].ours is not None
    assert rows["97.21"].ours.label == "lstm"
    # No bidirectional network was trained.
    assert (rows["97.57"].reason, rows["97.57"].ours) == ("", None)


@pytest.mark.parametrize(
    ("data", "score", "reason"),
    [
        ({}, "98.95 ± 0.11", "validation split, ours is test"),
        ({}, "98.9", "view pixels, ours rows"),
        ({"view": "pixels"}, "97.21", "view rows, ours pixels"),
        ({"view": "pixels", "permutation": "random92916"}, "95.11", "its source does not state the permutation"),
        ({"view": "pixels", "permutation": "bitreversal"}, "95.11", "its source does not state the permutation"),
        ({"view": "pixels"}, "95.11", "permutation not stated, ours none"),
        ({"view": "pixels", "permutation": "bitreversal"}, "85.7", "permutation fixed random, ours bit-reversal"),
        ({"view": "pixels", "permutation": "bitreversal"}, "98.9", "permutation none, ours bit-reversal"),
        ({"num_test": 10_000}, "97.21", "the whole test split, ours 100 samples of it"),
    ],
)
def test_reasons_against_a_comparison(
    made: Made, group_of: Grouped, data: dict[str, Any], score: str, reason: str
) -> None:
    row = by_score(group_of([mnist(made, "lstm", **data)]))[score]
    assert (row.reason, row.ours) == (reason, None)


@pytest.mark.parametrize(("permutation", "score"), [("random92916", "85.7"), ("seed:3", "85.7"), (None, "98.9")])
def test_the_same_kinds_of_permutation_are_comparable(
    made: Made, group_of: Grouped, permutation: str | None, score: str
) -> None:
    row = by_score(group_of([mnist(made, "lstm", view="pixels", permutation=permutation)]))[score]
    assert row.reason == ""
    assert row.ours is not None


CHAPTER_8 = {
    "model__num_layers": 2,
    "model__hidden_size": 128,
    "trainer__max_epochs": 2,
    "data__batch_size": 100,
    "optimizer___target_": "torch.optim.Adam",
    "optimizer__lr": 0.01,
}


@pytest.mark.parametrize(
    ("changed", "verdict", "kind"),
    [
        ({}, "same recipe in what the source states (num_layers, hidden_size,", "even"),
        ({"model__hidden_size": 32}, "recipe differs: hidden size 32, not 128", ""),
        ({"trainer__limit_train_batches": 60}, "recipe differs: limit_train_batches 60", ""),
        ({"trainer__max_steps": 120}, "recipe differs: max_steps 120", ""),
        (
            {"trainer__max_epochs": 30, "optimizer__lr": 0.1},
            "recipe differs: epochs 30, not 2; learning rate 0.1, not 0.01",
            "",
        ),
    ],
)
def test_the_recipes_are_compared_and_both_are_shown(
    made: Made, group_of: Grouped, changed: dict[str, object], verdict: str, kind: str
) -> None:
    data = {"name": "MNIST", "view": "rows", "permutation": None, "num_test": 100}
    run = made("lstm", acc=0.97, result={"data": data}, **(CHAPTER_8 | changed))
    table = published_table(group_of([run]))
    assert table is not None
    row = dict(zip(table.columns, table.rows[0], strict=True))
    assert row["published"] == "97.21"
    assert row["comparable?"].startswith(f"same data, split and scoring; {verdict}")
    assert table.kinds[0] == kind
    assert "2 epochs" in row["its recipe"]
    assert f"hidden size {changed.get('model__hidden_size', 128)}, epochs" in row["our recipe"]


def test_common_settings_are_listed(made: Made, group_of: Grouped) -> None:
    runs = [made(cell, trainer__limit_train_batches=limit) for cell in ("gru", "srn") for limit in (1.0, 60)]
    rows = {row[0]: row[1] for row in recipe_table(group_of(runs)).rows}
    assert rows["epochs"] == "1"
    assert rows["batch size"] == "50"
    assert rows["learning rate"] == "0.01"
    assert rows["limits"] == "none; limit_train_batches 60"
    assert "steps" not in rows, "a limit of -1 is none"


def captions(made: Made, *, literature: bool, data: dict[str, Any] = ENGLISH_GERMAN) -> Run:
    metrics: dict[str, float | None] = {"test/bleu": 37.0}
    if literature:
        metrics["test/literature/bleu"] = 38.0
    task = {"_target_": "rnnexp.tasks.translation.task.TranslationTask"}
    return made(task=task, acc=None, model__bidirectional=True, metrics=metrics, result={"data": data})


def test_raw_bleu_is_not_compared_with_the_literature(made: Made, group_of: Grouped) -> None:
    row = by_score(group_of([captions(made, literature=False)]))["39.00"]
    assert row.ours is None
    assert row.reason == "scored on lower-cased, tokenized text; ours is not: train with task.literature=true"


def test_literature_bleu_is_compared_with_the_literature(made: Made, group_of: Grouped) -> None:
    group = group_of([captions(made, literature=True)])
    rows = by_score(group)
    assert rows["39.00"].ours is not None
    assert rows["59.02"].reason == "target_lang fr, ours de"
    assert rows["31.25"].reason == "test test_2017_flickr, ours test_2016_flickr"
    table = published_table(group)
    assert isinstance(table, Table)
    # Comparable numbers are first, with the measured number of the same track.
    assert [list(row[1:3]) for row in table.rows[:2]] == [["39.00", "38.00 (gru)"], ["38.1 ± 0.8", "38.00 (gru)"]]
    verdict = "same data, split and scoring; recipe differs: hidden size 8, not 256"
    assert all(row[3].startswith(verdict) for row in table.rows[:2])
    assert list(table.kinds[:3]) == ["", "", ""]
    verdict = "comparable, but no such network was trained here"
    assert list(table.rows[2][:4]) == ["Transformer-tiny", "41.02", "–", verdict]
    assert all(row[3].startswith("not comparable: ") for row in table.rows[3:])


def test_a_different_scoring_is_never_compared(made: Made, group_of: Grouped) -> None:
    german_english = ENGLISH_GERMAN | {"source_lang": "de", "target_lang": "en"}
    row = by_score(group_of([captions(made, literature=True, data=german_english)]))["28.30"]
    assert row.reason.startswith("BLEU over spaCy's lower-cased words")


def test_a_training_loss_is_never_compared(made: Made, group_of: Grouped) -> None:
    tatoeba = {"name": "tatoeba", "source_lang": "fr", "target_lang": "en", "num_test": 100}
    (row,) = compare_with_published(group_of([captions(made, literature=False, data=tatoeba)]))
    assert row.reason.startswith("a training loss")


def test_other_data_has_no_published_numbers(made: Made, group_of: Grouped) -> None:
    group = group_of([mnist(made, "lstm", name="Tiny")])
    assert compare_with_published(group) == []
    assert published_table(group) is None


def test_every_published_number_can_be_reached() -> None:
    numbers = published_numbers()
    assert len(numbers) == 29
    names = {"view", "permutation", "source_lang", "target_lang", "test"}
    assert all(set(each.data) <= names for each in numbers)
    assert all(each.source for each in numbers)
    metrics = {measure.name for kind in (CLASSIFICATION, TRANSLATION) for measure in kind.measures}
    assert {each.metric for each in numbers} <= metrics | {None}
    assert all(each.without_metric for each in numbers if each.metric is None)
    permutations = {each.data["permutation"] for each in numbers if "permutation" in each.data}
    assert permutations == {"none", "fixed random", NOT_STATED}


def test_a_number_cites_its_source() -> None:
    """The README and the paper of one system state different figures."""
    sources = {each.score: each.source for each in published_numbers()}
    assert sources["39.00"] == "lium-lst/wmt17-mmt, README"
    assert "arXiv:1707.04481" in sources["38.1 ± 0.8"]
    assert sources["97.21"] == "Baileyswu/pytorch-exercise, chapter 8"
