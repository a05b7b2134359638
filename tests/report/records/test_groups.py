"""Runs are grouped by everything except the seed, and the differences between groups have short names."""

import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from scipy import stats

from rnnexp.report.figures.disagreements import find_disagreements
from rnnexp.report.records.axes import MOST_CHARACTERS, companions_of, labels_of, shortened, show_value, varying_axes
from rnnexp.report.records.costs import PARAMETERS
from rnnexp.report.records.groups import ComparisonGroup, make_groups
from rnnexp.report.records.runs import Run, find_runs
from rnnexp.report.records.testsets import assign_test_sets, relevant_keys
from rnnexp.report.section import answer
from rnnexp.report.stats.ranking import compare_with_best
from rnnexp.report.tables import results_table
from rnnexp.tasks.registry import CLASSIFICATION, LOSS, Measure, TaskKind, as_record
from rnnexp.tracking.identity import RUN_ONLY, SEEDS, config_hash, identity_of
from rnnexp.tracking.status import Status

Made = Callable[..., Run]
Grouped = Callable[..., ComparisonGroup]


def test_real_runs_are_grouped(digits: Path, group_of: Grouped) -> None:
    group = group_of(find_runs([digits]))
    assert group.title == "Tiny-rows"
    assert [axis.key for axis in group.axes] == ["model.cell"]
    assert sorted(each.label for each in group.settings) == ["gru", "srn"]
    for each in group.settings:
        assert list(each.counted) == ["1", "2"]
        run = each.counted["2"]
        assert each.scores[1] == pytest.approx(100 * run.result["metrics"]["test/acc"])
        assert each.mean_cost(PARAMETERS) == run.result["model"]["num_parameters"]
    assert group.settings[0].scores >= group.settings[1].scores


def test_images_and_sentences_are_separate_groups(digits: Path, phrases: Path) -> None:
    groups, ungrouped = make_groups(find_runs([digits, phrases]))
    assert [group.title for group in groups] == ["Phrasebook-en-fr", "Tiny-rows"]
    assert [group.main.name for group in groups] == ["test/bleu", "test/acc"]
    assert not ungrouped


def test_an_empty_group_is_no_axis(made: Made, group_of: Grouped) -> None:
    runs = [made(seed=seed, model__cell_options=options) for seed, options in enumerate(({}, {"reset": "before"}))]
    assert [axis.key for axis in group_of(runs).axes] == ["model.cell_options.reset"]
    assert all(not axis.companions for axis in group_of(runs).axes)


def test_the_identity_is_the_hashed_config(made: Made) -> None:
    config = dict(made(data__seed=1, paths={"output_dir": "here"}).config or {})
    identity = identity_of(config)
    assert "paths" in RUN_ONLY
    assert "paths" not in identity
    assert identity["seed"] == identity["data"]["seed"] == 1
    without = identity_of(config, *SEEDS)
    assert "seed" not in without
    assert "seed" not in without["data"]
    other = dict(made(seed=2, data__seed=2, paths={"output_dir": "there"}).config or {})
    assert identity_of(other, *SEEDS) == without
    assert config_hash(other) != config_hash(config)
    assert config["data"]["seed"] == 1, "the config itself must stay as it is"


def test_other_data_is_another_group(made: Made) -> None:
    runs = [made(), made(data__view="pixels"), made(data__name="Other"), made(data__batch_size=7)]
    groups, _ = make_groups(runs)
    assert [group.title for group in groups] == ["MNIST-pixels", "MNIST-rows", "Other-rows"]
    assert [len(group.settings) for group in groups] == [1, 2, 1]


def test_groups_with_the_same_name_show_their_differences(made: Made) -> None:
    groups, _ = make_groups([made(data__num_pairs=600), made(data__num_pairs=24000)])
    assert [group.title for group in groups] == ["MNIST-rows, num_pairs 24000", "MNIST-rows, num_pairs 600"]


def test_an_unknown_data_key_may_choose_the_test_set(made: Made) -> None:
    groups, _ = make_groups([made(cell, data__fold=fold) for cell in ("gru", "srn") for fold in (1, 2)])
    assert [group.title for group in groups] == ["MNIST-rows, fold 1", "MNIST-rows, fold 2"]
    assert [len(group.settings) for group in groups] == [2, 2]


@pytest.mark.parametrize("key", ["window", "batch_size", "normalize", "train"])
def test_any_key_of_a_data_module_from_elsewhere_may_choose_the_test_set(made: Made, key: str) -> None:
    """The names of keys that are irrelevant in this package say nothing about another one."""
    settings = {"data___target_": "elsewhere.SignalDataModule"}
    runs = [made(cell, **settings, **{f"data__{key}": value}) for cell in ("gru", "srn") for value in (5, 50)]
    groups, _ = make_groups(runs)
    assert [group.title for group in groups] == [f"MNIST-rows, {key} 5", f"MNIST-rows, {key} 50"]


def test_the_seed_of_a_data_module_from_elsewhere_does_not_choose_the_test_set(made: Made, group_of: Grouped) -> None:
    target = "elsewhere.SignalDataModule"
    (setting,) = group_of([made(seed=n, data___target_=target, data__seed=n) for n in (1, 2)]).settings
    assert list(setting.counted) == ["1", "2"]


def test_recorded_digests_identify_the_test_set(made: Made) -> None:
    """Different keys may choose the same test set, and equal keys different ones."""

    def run(cell: str, digest: str, **settings: object) -> Run:
        data = {"name": "MNIST", "view": "rows", "num_test": 100, "test_digest": digest}
        return made(cell, result={"data": data}, **settings)

    same = make_groups([run("gru", "a", data__fold=1), run("srn", "a", data__fold=2)])[0]
    assert [len(group.settings) for group in same] == [2]
    other = make_groups([run("gru", "a"), run("srn", "b")])[0]
    assert [len(group.settings) for group in other] == [1, 1]
    assert len({group.title for group in other}) == 2


def test_a_run_without_recorded_data_is_grouped_by_its_config(made: Made) -> None:
    data = {"name": "MNIST", "view": "rows", "num_test": 100, "test_digest": "a"}
    runs = [
        made("gru", result={"data": data}, data__fold=1),
        made("srn", status="failed", data__fold=1, data__batch_size=7),
        made("lstm", status="failed", data__fold=2),
    ]
    groups, _ = make_groups(runs)
    assert sorted(sorted(each.runs[0].facts["cell"] for each in group.settings) for group in groups) == [
        ["gru", "srn"],
        ["lstm"],
    ]


def test_a_run_without_a_config_has_no_group() -> None:
    run = Run(Path("somewhere"), Status.UNREADABLE, "no config")
    assert make_groups([run]) == ([], [run])


def test_the_best_group_is_first_and_groups_without_a_number_are_last(made: Made, group_of: Grouped) -> None:
    runs = [made("srn", acc=0.5), made("lstm", status="failed"), made("gru", acc=0.9)]
    group = group_of(runs)
    assert [each.label for each in group.settings] == ["gru", "srn", "lstm"]
    assert [each.label for each in group.measured] == ["gru", "srn"]
    assert group.settings[2].statuses() == "1 failed"


def test_an_unknown_task_is_compared_by_loss(made: Made, group_of: Grouped) -> None:
    task = {"_target_": "elsewhere.TaggingTask"}
    runs = [made(cell, task=task, metrics={"test/loss": loss}) for cell, loss in (("srn", 2.0), ("gru", 1.0))]
    group = group_of(runs)
    assert group.main == LOSS
    assert [each.label for each in group.settings] == ["gru", "srn"]


@pytest.mark.parametrize(
    ("metric", "order"), [("test/loss", ["lstm", "srn", "gru"]), ("test/acc", ["gru", "srn", "lstm"])]
)
def test_settings_are_ordered_by_their_mean_with_any_number_of_seeds(
    made: Made, group_of: Grouped, metric: str, order: list[str]
) -> None:
    # By the sum or by the first seed the order would be another one.
    scores = {"gru": (0.8,), "srn": (0.5, 0.7), "lstm": (0.6, 0.4, 0.2)}
    task = {"_target_": "elsewhere.TaggingTask" if metric == "test/loss" else CLASSIFICATION.target}
    runs = [
        made(cell, seed, acc=None, task=task, metrics={metric: score})
        for cell, values in scores.items()
        for seed, score in enumerate(values)
    ]
    group = group_of(runs)
    assert [each.label for each in group.settings] == order
    assert [each.setting.label for each in compare_with_best(group)] == order


def test_the_newest_of_two_runs_of_a_seed_counts(made: Made, group_of: Grouped) -> None:
    old, new = made(acc=0.1, since="2026-01-01"), made(acc=0.2, since="2026-01-02")
    (setting,) = group_of([new, old]).settings
    assert setting.scores == pytest.approx([20.0])
    assert len(setting.runs) == 2


def test_a_run_without_the_metric_does_not_count(made: Made, group_of: Grouped) -> None:
    (setting,) = group_of([made(seed=1, acc=None), made(seed=2, metrics={"test/acc": None})]).settings
    assert setting.counted == {}


def test_seeds_are_ordered_as_numbers(made: Made, group_of: Grouped) -> None:
    (setting,) = group_of([made(seed=seed) for seed in (10, 9, 100)]).settings
    assert list(setting.counted) == ["9", "10", "100"]


def test_a_key_that_changes_with_an_axis_is_not_an_axis(made: Made, group_of: Grouped) -> None:
    runs = [made("srn", model__hidden_size=30), made("gru", model__hidden_size=20), made("srn", model__hidden_size=30)]
    group = group_of(runs)
    assert [axis.name for axis in group.axes] == ["cell"]
    assert group.together == ["hidden_size (gru 20, srn 30) with cell"]


def test_the_numbers_that_a_search_draws_are_axes_of_their_own(made: Made, group_of: Grouped) -> None:
    drawn = [(0.00158825001, 0.21, 64), (0.00158825002, 0.3123456789012345, 128), (0.02, 0.1, 64)]
    runs = [
        made(
            optimizer__lr=lr,
            model__dropout=dropout,
            data__batch_size=size,
            model__hidden_size=size // 8,
            optimized_metric="val/acc_best",
            metrics={"val/acc_best": 0.5},
        )
        for lr, dropout, size in drawn
    ]
    group = group_of(runs)
    assert group.is_search
    assert [axis.name for axis in group.axes] == ["hidden_size", "dropout", "lr"]
    assert group.together == ["batch_size (16 128, 8 64) with hidden_size"]
    shown = {tuple(each.axis_values.values())[1:] for each in group.settings}
    assert shown == {("0.21", "0.00158825001"), ("0.3123", "0.00158825002"), ("0.1", "0.02")}


def test_axes_are_in_a_fixed_order(made: Made, group_of: Grouped) -> None:
    runs = [
        made(cell, optimizer__lr=lr, model__num_layers=n) for cell in ("srn", "gru") for lr in (1, 2) for n in (1, 2)
    ]
    assert [axis.name for axis in group_of(runs).axes] == ["cell", "num_layers", "lr"]


def test_axes_with_the_same_name_show_their_whole_key() -> None:
    flat = [{"model.dropout": a, "task.dropout": b} for a in (0.0, 0.5) for b in (0.0, 0.1)]
    assert [axis.name for axis in varying_axes(flat)] == ["model.dropout", "task.dropout"]
    # The short name is unique but misleading.
    assert [axis.name for axis in varying_axes(flat[:2])] == ["task.dropout"]
    assert [axis.name for axis in varying_axes(flat[::2])] == ["dropout"]


def test_keys_of_one_axis_with_the_same_name_show_their_whole_key() -> None:
    flat = [{"monitor": name, "callbacks.kept_checkpoints.monitor": name} for name in ("val/acc", "val/loss")]
    (axis,) = varying_axes(flat)
    both = "callbacks.kept_checkpoints.monitor (val/acc val/acc, val/loss val/loss) with monitor"
    assert companions_of(axis, flat) == both


def test_the_source_of_a_cell_is_an_axis_only_if_it_changed() -> None:
    mine = {"model.cell": "my_cells.mgu", "inputs.module:my_cells": "a" * 64}
    other = {"model.cell": "my_cells.other", "inputs.module:my_cells": "a" * 64}
    assert [axis.key for axis in varying_axes([{"model.cell": "gru"}, mine, other])] == ["model.cell"]
    changed = {**mine, "inputs.module:my_cells": "b" * 64}
    both = ["model.cell", "inputs.module:my_cells"]
    assert [axis.key for axis in varying_axes([{"model.cell": "gru"}, mine, changed])] == both
    assert [axis.key for axis in varying_axes([mine, changed])] == both[1:]


def test_a_key_of_only_some_runs_is_an_axis() -> None:
    with_decay, without = {"optimizer.weight_decay": None}, {"optimizer._target_": "SGD"}
    axes = varying_axes([with_decay, without])
    assert [(axis.name, axis.companions) for axis in axes] == [("weight_decay", ("optimizer._target_",))]
    assert (axes[0].show(with_decay), axes[0].show(without)) == ("none", "–")


@pytest.mark.parametrize(
    ("key", "value", "shown"),
    [
        ("a.b", True, "yes"),
        ("a.b", None, "none"),
        ("a.b", 0.0030, "0.003"),
        ("a.b", 0.0012345678, "0.0012345678"),
        ("a.b", 0.22347593137830069, "0.2235"),
        ("a.b", 7.123456789012e-05, "7.123e-05"),
        ("a.b", [0.9, 0.999], "[0.9, 0.999]"),
        ("optimizer._target_", "torch.optim.Adam", "Adam"),
    ],
)
def test_format_of_values(key: str, value: object, shown: str) -> None:
    assert show_value(key, value) == shown


def test_labels_name_every_axis() -> None:
    settings = [
        {"cell": cell, "bidirectional": both, "num_layers": layers, "hidden_size": "8", "precision": precision}
        for cell, both, layers, precision in [
            ("srn", "yes", "2", "32-true"),
            ("srn", "no", "1", "32-true"),
            ("gru", "no", "1", "bf16-mixed"),
        ]
    ]
    assert labels_of(settings) == [
        "srn, bidirectional, 2 layers, hidden 8, precision 32-true",
        "srn, unidirectional, 1 layer, hidden 8, precision 32-true",
        "gru, unidirectional, 1 layer, hidden 8, precision bf16-mixed",
    ]


def test_a_label_leaves_out_an_axis_that_the_setting_lacks(made: Made, group_of: Grouped) -> None:
    group = group_of([made("lstm", model__cell_options={"chrono": 784}), made("srn"), made("lstm")])
    assert {setting.label for setting in group.settings} == {"lstm, chrono 784", "lstm", "srn"}


def test_a_label_names_the_common_cell_and_every_value(made: Made, group_of: Grouped) -> None:
    runs = [made(optimizer__lr=lr, seed=seed) for lr in (0.1, 0.1, 0.2) for seed in (1, 2)]
    assert {each.label for each in group_of(runs).settings} == {"gru, lr 0.1", "gru, lr 0.2"}


def test_the_label_of_an_unsupported_precision_names_it(made: Made, group_of: Grouped) -> None:
    precisions = ("32-true", "16-true", "64-true")
    runs = [made(trainer__precision=each, status="unsupported" if each == "16-true" else "done") for each in precisions]
    labels = {each.label: each.statuses() for each in group_of(runs).settings}
    assert labels == {
        "gru, precision 32-true": "1 done",
        "gru, precision 64-true": "1 done",
        "gru, precision 16-true": "1 unsupported",
    }


@pytest.mark.parametrize(
    ("key", "values", "shown"),
    [
        ("optimizer__lr", (0.00158825001, 0.00158825002), ["0.00158825001", "0.00158825002"]),
        ("optimizer__lr", (0.1, "0.1"), ['"0.1"', "0.1"]),
        ("optimizer___target_", ("torch.optim.Adam", "mine.Adam"), ['"mine.Adam"', '"torch.optim.Adam"']),
        ("optimizer__lr", (None, "none"), ['"none"', "null"]),
        ("optimizer__lr", (True, "yes", 1), ['"yes"', "1", "true"]),
    ],
)
def test_different_values_never_look_alike(
    made: Made, group_of: Grouped, key: str, values: tuple[object, ...], shown: list[str]
) -> None:
    group = group_of([made(**{key: value}) for value in values])
    assert sorted(value for each in group.settings for value in each.axis_values.values()) == shown
    assert len({each.label for each in group.settings}) == len(values)


def trials(made: Made, metric: str, **settings: object) -> list[Run]:
    """Three trials of a search, where validation and test disagree about the best."""
    scores = {0.1: (0.9, 0.7), 0.2: (0.8, 0.95), 0.3: (0.7, 0.8)}
    return [
        made(optimizer__lr=lr, acc=test, metrics={metric: val}, optimized_metric=metric, monitor="val/acc", **settings)
        for lr, (val, test) in scores.items()
    ]


def test_a_search_is_ordered_by_what_it_optimized(made: Made, group_of: Grouped) -> None:
    group = group_of(trials(made, "val/acc_best"))
    assert group.is_search
    assert (group.main.name, group.main.label) == ("val/acc_best", "validation accuracy of the best epoch")
    assert [each.label for each in group.settings] == ["gru, lr 0.1", "gru, lr 0.2", "gru, lr 0.3"]
    comparisons = compare_with_best(group)
    assert [each.samples for each in comparisons] == [None, None, None], "no test on the samples of the test set"
    table = results_table(group, comparisons)
    best = dict(zip(table.columns, table.rows[0], strict=True))
    assert best["validation accuracy of the best epoch, %"] == "90.00"
    assert best["test accuracy, %"] == "70.00"
    said = answer(group, comparisons)
    assert "best is gru, lr 0.1 (validation accuracy of the best epoch 90.00 %" in said
    assert "test accuracy 70.00 %" in said


@pytest.mark.parametrize(("metric", "sign"), [("val/acc_best", 100), ("val/loss_best", -1)])
def test_the_leads_of_a_search_are_those_on_the_validation_split(
    made: Made, group_of: Grouped, metric: str, sign: int
) -> None:
    """The leads are positive in both directions, and the test set would give others."""
    better, worse = ((0.9, 0.8, 0.85), (0.5, 0.6, 0.52)) if sign > 0 else ((0.5, 0.6, 0.52), (0.9, 0.8, 0.85))
    runs = [
        made(seed=seed, optimizer__lr=lr, acc=test, metrics={metric: value}, optimized_metric=metric)
        for lr, values, test in ((0.1, worse, 0.9), (0.2, better, 0.1))
        for seed, value in enumerate(values)
    ]
    best, other = compare_with_best(group_of(runs))
    assert (best.setting.label, other.setting.label) == ("gru, lr 0.2", "gru, lr 0.1")
    assert other.seeds is not None
    assert other.seeds.difference == pytest.approx(sign * (sum(better) - sum(worse)) / 3)
    assert other.seeds.p == pytest.approx(stats.ttest_rel(better, worse).pvalue)


def test_a_search_may_optimize_the_averaged_weights(made: Made, group_of: Grouped) -> None:
    group = group_of(trials(made, "val/acc_average"))
    assert (group.main.name, group.main.label) == ("val/acc_average", "validation accuracy of the averaged weights")
    assert [each.label for each in group.settings] == ["gru, lr 0.1", "gru, lr 0.2", "gru, lr 0.3"]


def test_searches_for_different_metrics_are_not_ordered_by_the_test_set(made: Made, group_of: Grouped) -> None:
    runs = [*trials(made, "val/acc_best"), *trials(made, "val/loss_best", model__num_layers=2)]
    for run in runs:
        run.result["metrics"]["val/acc"] = 1 - run.config["optimizer"]["lr"]  # type: ignore[index]
    group = group_of(runs)
    assert group.is_search
    assert (group.main.name, group.main.label) == ("val/acc", "validation accuracy")
    assert [each.axis_values["lr"] for each in group.settings] == ["0.1", "0.1", "0.2", "0.2", "0.3", "0.3"]


def test_a_direction_of_another_kind_ends_no_report(made: Made, group_of: Grouped) -> None:
    runs = [made(optimizer__lr=lr, optimized_metric="mine", monitor="mine", monitor_mode=["max"]) for lr in (0.1, 0.2)]
    assert group_of(runs).is_search


def test_keys_that_are_shortened_alike_show_their_whole_names(made: Made, group_of: Grouped) -> None:
    optimizers = [None, {"_target_": "torch.optim.Adam"}, {"_target_": "torch.optim.SGD"}]
    group = group_of([made(optimizer=optimizer) for optimizer in optimizers])
    assert [axis.name for axis in group.axes] == ["optimizer", "optimizer._target_"]
    assert all(len(each.axis_values) == 2 for each in group.settings)


def test_a_search_for_the_lowest_loss(made: Made, group_of: Grouped) -> None:
    group = group_of(trials(made, "val/loss_best"))
    assert [each.label for each in group.settings] == ["gru, lr 0.3", "gru, lr 0.2", "gru, lr 0.1"]


def test_a_search_for_a_metric_of_the_user_has_the_direction_of_the_monitor(made: Made, group_of: Grouped) -> None:
    runs = trials(made, "val/f1_best")
    for run in runs:
        assert isinstance(run.config, dict)
        run.config.update(monitor="val/f1", monitor_mode="max")
    assert [each.label for each in group_of(runs).settings] == ["gru, lr 0.1", "gru, lr 0.2", "gru, lr 0.3"]


SEQUENCES = TaskKind(
    "regression",
    "my_tasks.RegressionTask",
    measures=(Measure("test/mse", "squared error", digits=4, higher_is_better=False), Measure("test/mae", "error")),
    throughput="tokens",
)


def test_a_task_from_outside_is_compared_by_the_measures_it_recorded(made: Made) -> None:
    task = {"_target_": SEQUENCES.target}
    record = {"task_kind": as_record(SEQUENCES)}
    runs = [made(cell, task=task, result=record, metrics={"test/mse": mse}) for cell, mse in (("srn", 2), ("gru", 1))]
    runs.append(made("lstm", task=task, status="failed"))
    groups, _ = make_groups(runs)
    assert [group.kind.name for group in groups] == ["regression"], "a failed run belongs to the others of its task"
    assert groups[0].main == SEQUENCES.main
    assert [each.label for each in groups[0].settings] == ["gru", "srn", "lstm"]
    assert "tokens/s" in [cost.label for cost in groups[0].costs]


def test_nothing_that_a_run_directory_names_is_imported(made: Made, group_of: Grouped, tmp_path: Path) -> None:
    """The class of the task and functions that a changed record names are not imported."""
    (tmp_path / "hostile.py").write_text("raise RuntimeError('imported')\n", encoding="utf-8")
    record = as_record(SEQUENCES) | {"target": "hostile.Task", "answers": "hostile:read", "sample_test": "hostile:test"}
    runs = [
        made(cell, task={"_target_": "hostile.Task"}, result={"task_kind": record}, metrics={"test/mse": 1.0})
        for cell in ("gru", "srn")
    ]
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(str(tmp_path))
        group = group_of(runs)
        assert (group.kind.answers, group.kind.sample_test) == (None, None)
        assert [each.samples for each in compare_with_best(group)] == [None, None]
        assert find_disagreements(group) == []
    assert "hostile" not in sys.modules


def test_batch_settings_do_not_change_the_test_set(made: Made) -> None:
    runs = [made(), made("srn", data__batch_size=7, data__root="elsewhere", data__mirrors=[])]
    assert len(set(assign_test_sets(runs))) == 1
    assert relevant_keys(runs[1]) == {
        "_target_": "rnnexp.data.images.mnist.MNISTDataModule",
        "name": "MNIST",
        "view": "rows",
    }


def test_groups_that_differ_only_in_their_digest_have_different_titles(made: Made) -> None:
    def run(cell: str, digest: str) -> Run:
        return made(cell, result={"data": {"name": "MNIST", "view": "rows", "test_digest": digest}})

    groups, _ = make_groups([run("gru", "a" * 64), run("srn", "b" * 64)])
    assert [group.title for group in groups] == ["MNIST-rows, test set aaaaaaaa", "MNIST-rows, test set bbbbbbbb"]


def test_a_long_value_is_cut_and_stays_distinct() -> None:
    """matplotlib takes minutes to draw a label of 200,000 letters."""
    one, other = (shortened("x" * 200_000 + end) for end in "ab")
    assert len(one) == len(other) == MOST_CHARACTERS
    assert one != other
    assert shortened("x" * MOST_CHARACTERS) == "x" * MOST_CHARACTERS
