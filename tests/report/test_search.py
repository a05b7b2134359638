"""The section of a search: the path of its best value, and the importance of the searched keys."""

import dataclasses
import math
import sys
from collections.abc import Callable
from pathlib import Path

import optuna
import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import create_trial

from rnnexp.report.figures.search_path import search_path, trials_of
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.runs import Run
from rnnexp.report.render.document import FigureBlock, Paragraph, Table
from rnnexp.report.search import search_blocks
from rnnexp.report.section import FigureWriter, make_section
from rnnexp.report.stats.ranking import compare_with_best

Made = Callable[..., Run]
Grouped = Callable[..., ComparisonGroup]
VALUES = [0.5, 0.4, 0.8, None, 0.7, 0.9, 0.6, 0.3]
SPACE = {"optimizer.lr": FloatDistribution(0.001, 0.1, log=True), "model": CategoricalDistribution(["gru", "lstm"])}


@pytest.fixture
def searched(made: Made, group_of: Grouped, tmp_path: Path) -> ComparisonGroup:
    """A search of eight trials in which the learning rate decides, with its journal."""
    runs = []
    storage = JournalStorage(JournalFileBackend(str(make_study(tmp_path / "search"))))
    study = optuna.create_study(storage=storage, study_name="train", direction="maximize")
    for number, value in enumerate(VALUES):
        lr = 0.001 * 100 ** (0.5 if value is None else value)
        run = made(
            "gru" if number % 2 else "lstm",
            status="pruned" if value is None else "done",
            metrics={"val/acc_best": value},
            optimized_metric="val/acc_best",
            trial_number=number,
            optimizer__lr=lr,
        )
        runs.append(dataclasses.replace(run, path=tmp_path / "search" / "jobs" / str(number)))
        if value is not None:
            params = {"optimizer.lr": lr, "model": "gru" if number % 2 else "lstm"}
            study.add_trial(create_trial(params=params, distributions=SPACE, value=value))
    return group_of(runs)


def make_study(search: Path) -> Path:
    (search / "study").mkdir(parents=True)
    (search / "sweep.json").write_text("{}", encoding="utf-8")
    return search / "study" / "journal.log"


def test_the_path_of_the_best_value(searched: ComparisonGroup) -> None:
    (values,) = trials_of(searched).values()
    assert [None if math.isnan(value) else round(value / 100, 2) for value in values.values()] == VALUES
    figure = search_path(searched)
    assert figure is not None
    _, best, missing = figure.axes[0].lines
    assert list(best.get_ydata()) == pytest.approx([50, 50, 80, 80, 80, 90, 90, 90])
    assert list(missing.get_xdata()) == [3]
    texts = [text.get_text() for text in figure.legends[0].get_texts()]
    assert texts == ["best so far of search", "without a value"]


def test_the_path_of_the_lowest_value_goes_down(made: Made, group_of: Grouped, tmp_path: Path) -> None:
    make_study(tmp_path / "search")
    runs = []
    for number, value in enumerate(VALUES):
        metrics = {"val/loss_best": value}
        status = "pruned" if value is None else "done"
        settings = {"optimized_metric": "val/loss_best", "trial_number": number, "optimizer__lr": number + 0.5}
        run = made(acc=value, status=status, metrics=metrics, **settings)
        runs.append(dataclasses.replace(run, path=tmp_path / "search" / "jobs" / str(number)))
    group = group_of(runs)
    figure = search_path(group)
    assert figure is not None
    trials, best, _ = figure.axes[0].lines
    shown = [math.nan if value is None else value for value in VALUES]
    assert list(trials.get_ydata()) == pytest.approx(shown, nan_ok=True)
    assert list(best.get_ydata()) == pytest.approx([0.5, 0.4, 0.4, 0.4, 0.4, 0.4, 0.4, 0.3])
    # The last trial has the lowest loss, and the lowest accuracy.
    first = compare_with_best(group)[0].setting
    assert (first.label, first.scores) == ("gru, lr 7.5", [0.3])


def test_searches_whose_directories_have_one_name_stay_apart(made: Made, group_of: Grouped, tmp_path: Path) -> None:
    places = [tmp_path / "a" / "lr", tmp_path / "b" / "lr"]
    runs = []
    for number, place in enumerate(places):
        make_study(place)
        run = made(metrics={"val/acc_best": 0.5 + number / 10}, optimized_metric="val/acc_best", trial_number=0)
        run = dataclasses.replace(run, config={**(run.config or {}), "optimizer": {"lr": number + 0.5}})
        runs.append(dataclasses.replace(run, path=place / "jobs" / "0"))
    found = trials_of(group_of(runs))
    assert {name: list(values) for name, values in found.items()} == {str(place): [0] for place in places}


def test_the_importance_of_keys(searched: ComparisonGroup, tmp_path: Path) -> None:
    figure, text, table = search_blocks(searched, FigureWriter(tmp_path, ""))
    assert isinstance(figure, FigureBlock)
    assert isinstance(text, Paragraph)
    assert "from 7 complete trials; the sum is 1. With fewer than 50 it is unstable." in text.text
    assert isinstance(table, Table)
    assert [row[0] for row in table.rows] == ["optimizer.lr", "model"]
    assert sum(float(row[1]) for row in table.rows) == pytest.approx(1.0, abs=0.01)


def test_trials_of_one_seed_have_no_table_of_tests(searched: ComparisonGroup, tmp_path: Path) -> None:
    section = make_section(searched, compare_with_best(searched), FigureWriter(tmp_path), tmp_path)
    titles = [inner.title for inner in section.sections]
    assert "Results" in titles
    assert "Against the best" not in titles


def test_without_optuna_the_path_remains(
    searched: ComparisonGroup, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    figure, text = search_blocks(searched, FigureWriter(tmp_path, ""))
    assert isinstance(figure, FigureBlock)
    assert isinstance(text, Paragraph)
    assert 'pip install -e ".[optuna]"' in text.text


def test_a_damaged_journal_leaves_the_path(searched: ComparisonGroup, tmp_path: Path) -> None:
    (tmp_path / "search" / "study" / "journal.log").write_text("no journal\n" * 2, encoding="utf-8")
    figure, text = search_blocks(searched, FigureWriter(tmp_path, ""))
    assert isinstance(figure, FigureBlock)
    assert isinstance(text, Paragraph)
    assert "left out" in text.text


def test_a_grid_is_no_search(made: Made, group_of: Grouped, tmp_path: Path) -> None:
    group = group_of([made("gru"), made("srn")])
    assert search_blocks(group, FigureWriter(tmp_path, "")) == []
    assert search_path(group) is None
