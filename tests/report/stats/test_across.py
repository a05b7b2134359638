"""The ranking over several data sets, compared with the example of Demsar (2006)."""

from collections.abc import Callable
from itertools import combinations
from pathlib import Path

import pytest
from matplotlib.figure import Figure
from scipy import stats

from rnnexp.report import write
from rnnexp.report.figures.critical_difference import critical_difference
from rnnexp.report.records.groups import ComparisonGroup, make_groups
from rnnexp.report.records.runs import Run
from rnnexp.report.stats.across import AcrossRanking, rank_across
from rnnexp.report.stats.significance import holm
from rnnexp.tasks.registry import CLASSIFICATION

Made = Callable[..., Run]
# Table 6 of Demsar (2006, JMLR 7): C4.5 with four settings on 14 data sets.
SCORES = {
    "plain": [0.763, 0.599, 0.954, 0.628, 0.882, 0.936, 0.661, 0.583, 0.775, 1.0, 0.940, 0.619, 0.972, 0.957],
    "m": [0.768, 0.591, 0.971, 0.661, 0.888, 0.931, 0.668, 0.583, 0.838, 1.0, 0.962, 0.666, 0.981, 0.978],
    "cf": [0.771, 0.590, 0.968, 0.654, 0.886, 0.916, 0.609, 0.563, 0.866, 1.0, 0.965, 0.614, 0.975, 0.946],
    # The mean ranks of the paper distinguish the last two scores of the thirteenth data set, both printed as 0.975.
    "both": [0.798, 0.569, 0.967, 0.657, 0.898, 0.931, 0.685, 0.625, 0.875, 1.0, 0.962, 0.669, 0.9749, 0.970],
}


def groups_of(made: Made, number: int, *without: str) -> list[ComparisonGroup]:
    runs = [
        made(cell, acc=acc, data__name=f"Data{place:02d}")
        for cell, scores in SCORES.items()
        for place, acc in enumerate(scores[:number])
        if f"{cell} {place}" not in without
    ]
    groups, _ = make_groups(runs)
    assert len(groups) == number
    return groups


def test_the_example_of_the_literature(made: Made) -> None:
    (ranking,) = rank_across(groups_of(made, 14))
    assert ranking.labels == ["both", "m", "cf", "plain"]
    # The mean ranks of the paper.
    assert ranking.ranks == pytest.approx([1.964, 2.000, 2.893, 3.143], abs=5e-4)
    columns = [SCORES[label] for label in ranking.labels]
    assert ranking.friedman_p == pytest.approx(stats.friedmanchisquare(*columns).pvalue)
    pairs = list(combinations(range(4), 2))
    p_values = [stats.wilcoxon([a - b for a, b in zip(columns[i], columns[j], strict=True)]).pvalue for i, j in pairs]
    assert list(ranking.pairs.values()) == pytest.approx(holm(p_values))
    assert "no pair could differ" not in ranking.describe()


def test_the_lowest_loss_has_the_first_rank(made: Made) -> None:
    task = {"_target_": "elsewhere.TaggingTask"}
    runs = [
        made(cell, acc=None, data__name=f"Data{place}", task=task, metrics={"test/loss": loss})
        for place, of_gru in enumerate((1.0, 1.0, 2.5, 1.0))
        for cell, loss in (("srn", 3.0), ("gru", of_gru), ("lstm", 2.0))
    ]
    (ranking,) = rank_across(make_groups(runs)[0])
    assert not ranking.measure.higher_is_better
    assert ranking.labels == ["gru", "lstm", "srn"]
    assert ranking.ranks == pytest.approx([5 / 4, 7 / 4, 3.0])


def test_searches_are_not_ranked(made: Made) -> None:
    """The best trial of a search was chosen by the scores that would be ranked."""
    runs = [
        made(cell, metrics={"val/acc_best": acc}, data__name=f"Data{place}", optimized_metric="val/acc_best")
        for place in range(3)
        for cell, acc in (("srn", 0.3), ("gru", 0.9), ("lstm", 0.6))
    ]
    groups, _ = make_groups(runs)
    assert [group.is_search for group in groups] == [True] * 3
    assert rank_across(groups) == []


def test_settings_without_a_score_on_a_data_set_are_not_ranked(made: Made) -> None:
    (ranking,) = rank_across(groups_of(made, 5, "m 2"))
    assert sorted(ranking.labels) == ["both", "cf", "plain"]
    assert "no pair could differ significantly: the smallest possible p is 0.19" in ranking.describe()


def test_too_few_data_sets_or_settings_are_not_ranked(made: Made) -> None:
    assert rank_across(groups_of(made, 2)) == []
    assert rank_across(groups_of(made, 3, "m 0", "cf 1")) == []


def test_other_networks_are_other_settings(made: Made) -> None:
    cells, numbers = ("srn", "lstm", "gru"), (16, 32, 64, 128)
    runs = [made(cell, data__name=f"Data{size}", model__hidden_size=size) for cell in cells for size in numbers]
    assert rank_across(make_groups(runs)[0]) == []
    runs = [made(cell, data__name=f"Data{size}", task__pooling=f"p{size}") for cell in cells for size in numbers]
    assert rank_across(make_groups(runs)[0]) == []


def test_a_further_setting_of_one_data_set_changes_nothing(made: Made) -> None:
    groups = groups_of(made, 5)
    others = [
        made("m", acc=0.9, data__name="Data02", **{key: value})
        for key, value in (("model__hidden_size", 128), ("optimizer__lr", 0.5), ("data__batch_size", 7))
    ]
    (before,) = rank_across(groups)
    (after,) = rank_across(make_groups([run for group in groups for run in group.runs] + others)[0])
    assert [label.partition(",")[0] for label in after.labels] == before.labels
    assert after.ranks == before.ranks
    assert after.friedman_p == before.friedman_p


def test_what_all_settings_of_a_data_set_have_in_common_may_belong_to_it(made: Made) -> None:
    runs = [
        made(cell, acc=acc, data__name=f"Data{place}", trainer__max_epochs=place, data__batch_size=10 + place)
        for cell, scores in SCORES.items()
        for place, acc in enumerate(scores[:5])
    ]
    (ranking,) = rank_across(make_groups(runs)[0])
    assert sorted(ranking.labels) == sorted(SCORES)


def test_equal_scores_are_alike(made: Made) -> None:
    runs = [made(cell, data__name=f"Data{place}") for cell in SCORES for place in range(3)]
    (ranking,) = rank_across(make_groups(runs)[0])
    assert (ranking.friedman_p, set(ranking.pairs.values())) == (1.0, {1.0})
    assert ranking.cliques == [(0, 3)]


def test_cliques_are_the_largest_runs_of_settings_that_are_alike() -> None:
    different = {(0, 2), (0, 3)}
    pairs = {pair: 0.01 if pair in different else 0.5 for pair in combinations(range(4), 2)}
    ranking = AcrossRanking(CLASSIFICATION.main, ["x"] * 9, list("abcd"), [1, 2, 3, 4], 0.01, pairs)
    assert ranking.cliques == [(0, 1), (1, 3)]
    figure = critical_difference(ranking)
    assert isinstance(figure, Figure)
    assert {text.get_text() for text in figure.axes[0].texts} >= {"a  1.00", "d  4.00", "1", "4"}


@pytest.mark.parametrize(("without", "is_said"), [((), False), (("m 0", "cf 1"), True)])
def test_a_missing_ranking_is_explained(
    made: Made, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, without: tuple[str, ...], is_said: bool
) -> None:
    runs = [run for group in groups_of(made, 4, *without) for run in group.runs]
    monkeypatch.setattr(write, "find_runs", lambda _directories: runs)
    write.write_report([tmp_path], tmp_path / "report")
    text = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert ("Mean rank by accuracy" in text) != is_said
    assert ("The settings are not ranked over the data sets" in text) == is_said
