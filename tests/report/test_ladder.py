"""The ladder of a report: which length each setting solved, with how many of its seeds."""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import UserError
from rnnexp.report.figures.ladder import ladder_figure, ratios_of
from rnnexp.report.ladder import ladder_answer, ladder_table, plot_ladder
from rnnexp.report.records.groups import make_groups
from rnnexp.report.records.ladders import Ladder, find_ladders
from rnnexp.report.records.runs import Run
from rnnexp.report.records.schema import validate_result
from rnnexp.report.render.document import FigureBlock
from rnnexp.report.section import FigureWriter
from rnnexp.tasks.registry import REGRESSION, TAGGING

Made = Callable[..., Run]
THRESHOLDS = {"adding": ("test/loss", 1e-3), "parity": ("test/acc", 0.99)}


@pytest.fixture
def ladder_of(runs_of: Callable[..., list[Run]]) -> Callable[..., list[Ladder]]:
    """A function that returns the ladders of runs with these scores: {(cell, length): score of each seed}."""

    def make(scores: Mapping[tuple[str, int], list[float]], name: str = "adding") -> list[Ladder]:
        return find_ladders(make_groups(runs_of(scores, name))[0])

    return make


@pytest.fixture
def runs_of(made: Made) -> Callable[..., list[Run]]:
    """A function that returns the runs with these scores, see `ladder_of`; other arguments are keys of `data`."""

    def make(scores: Mapping[tuple[str, int], list[float]], name: str = "adding", **others: Any) -> list[Run]:
        metric, threshold = THRESHOLDS[name]
        runs = []
        for (cell, length), values in scores.items():
            recorded = {"name": name, "length": length, "num_test": 100, "solved_metric": metric}
            recorded |= {"solved_value": threshold, "test_digest": f"{length}{others}".encode().hex()}
            data = {"_target_": "x.Data", "name": name, "length": length, "view": None, **others}
            kind = TAGGING if name == "parity" else REGRESSION
            for seed, value in enumerate(values, start=1):
                metrics = {metric: value, "test/rmse": value**0.5}
                runs.append(
                    made(
                        cell,
                        seed,
                        None,
                        data=data,
                        task={"_target_": kind.target},
                        metrics=metrics,
                        result={"data": recorded},
                    )
                )
        return runs

    return make


SCORES = {
    ("srn", 50): [2e-4, 0.15],
    ("srn", 200): [0.16, 0.17],
    ("lstm", 50): [1e-4, 2e-4],
    ("lstm", 200): [5e-4, 9e-4],
    ("gru", 50): [1e-4, 1e-4],
    ("gru", 200): [9e-4, 2e-3],
}


def test_the_largest_solved_length_is_named_with_its_seeds(ladder_of: Callable[..., list[Ladder]]) -> None:
    (ladder,) = ladder_of(SCORES)
    assert ladder.ranking == ["lstm", "gru", "srn"]
    assert ladder_answer(ladder) == (
        "adding: the largest T solved by lstm T = 200 (2 of 2 seeds); gru T = 200 (1 of 2 seeds); "
        "srn T = 50 (1 of 2 seeds)."
    )
    table = ladder_table(ladder)
    assert table.columns == ["setting", "largest T solved", "T = 50", "T = 200"]
    assert table.rows[1] == ["gru", "200 (1 of 2 seeds)", "0.0001, 2 of 2", "0.00145, 1 of 2"]


def test_other_sequences_of_the_same_length_are_another_ladder(runs_of: Callable[..., list[Run]]) -> None:
    runs = [run for seed in (0, 1) for run in runs_of(SCORES, sequence_seed=seed)]
    ladders = find_ladders(make_groups(runs)[0])
    assert [ladder.task for ladder in ladders] == ["adding, sequence_seed 0", "adding, sequence_seed 1"]
    (single,) = find_ladders(make_groups(runs_of(SCORES))[0])
    assert {str(ladder_table(ladder)) for ladder in ladders} == {str(ladder_table(single))}


def test_a_setting_that_solved_nothing_says_so(ladder_of: Callable[..., list[Ladder]]) -> None:
    (ladder,) = ladder_of({("srn", 50): [0.1], ("srn", 100): [0.2], ("gru", 50): [1e-3], ("gru", 100): [0.1]})
    assert ladder_answer(ladder) == "adding: the largest T solved by gru T = 50 (1 of 1 seed); srn none."


def test_accuracy_is_solved_from_the_threshold_upwards(ladder_of: Callable[..., list[Ladder]]) -> None:
    (ladder,) = ladder_of({("gru", 10): [0.99, 0.98], ("gru", 20): [0.5, 0.6], ("srn", 10): [0.7, 0.6]}, "parity")
    assert ladder.thresholds == {10: 99, 20: 99}
    assert (highest := ladder.highest("gru")) is not None
    assert (highest.length, highest.num_solved) == (10, 1)
    assert ladder.highest("srn") is None


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("length", value) for value in (None, "50", [50], float("nan"), 0, -50, 50.5)],
        *[("solved_value", value) for value in (None, "0.001", True, float("inf"))],
        *[("solved_metric", value) for value in (None, "test/acc", "val/loss", ["test/loss"])],
    ],
    ids=str,
)
def test_a_record_that_no_memory_task_writes_is_no_rung(
    runs_of: Callable[..., list[Run]], key: str, value: object
) -> None:
    """The other settings of the ladder remain."""
    runs = [
        replace(run, result={**run.result, "data": {**run.result["data"], key: value}})
        if run.facts["cell"] == "srn"
        else run
        for run in runs_of(SCORES)
    ]
    (ladder,) = find_ladders(make_groups(runs)[0])
    assert ladder.ranking == ["lstm", "gru"]


@pytest.mark.parametrize(("value", "is_valid"), [(-0.0035, True), (-1e6, True), (1.0, True), (1.5, False)])
def test_a_measure_without_a_lower_bound_may_be_negative(value: float, is_valid: bool) -> None:
    """R² of a network that is worse than the mean of the targets."""
    result = {"schema_version": 1, "metrics": {"test/r2": value}}
    expected = nullcontext() if is_valid else pytest.raises(UserError, match="test/r2 must be at most 1")
    with expected:
        validate_result(result, REGRESSION, Path("result.json"))


def test_one_length_is_no_ladder(ladder_of: Callable[..., list[Ladder]]) -> None:
    assert ladder_of({("srn", 50): [0.1], ("gru", 50): [0.2]}) == []


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        ("adding", "adding-ladder"),
        ("a.b", "a-b-ladder"),
        ("org/name", "org-name-ladder"),
        ("/tmp/x", "tmp-x-ladder"),
        ("../../x}\\input{y", "x-input-y-ladder"),
        ("日本", "ladder"),
    ],
)
def test_the_name_of_the_data_names_no_file_elsewhere(
    ladder_of: Callable[..., list[Ladder]], tmp_path: Path, name: str, stem: str
) -> None:
    (ladder,) = ladder_of(SCORES)
    report = tmp_path / "below" / "report"
    block = plot_ladder(replace(ladder, task=name), FigureWriter(report, name))
    assert isinstance(block, FigureBlock)
    assert block.file == f"figures/{stem}.png"
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {f"{stem}.png", f"{stem}.svg"}
    assert {path.name for path in (report / "figures").iterdir()} == {f"{stem}.png", f"{stem}.svg"}


def test_other_data_have_no_ladder(made: Made) -> None:
    assert find_ladders(make_groups([made("gru"), made("srn")])[0]) == []


def test_seeds_that_solved_the_task_are_filled(ladder_of: Callable[..., list[Ladder]]) -> None:
    (ladder,) = ladder_of(SCORES)
    (axes,) = ladder_figure(ladder).axes
    points = {
        (float(line.get_xdata()[0]), float(line.get_ydata()[0])): line.get_markerfacecolor()  # type: ignore[index, arg-type]
        for line in axes.lines
        if line.get_linestyle() == "None"
    }
    assert {place: color == "white" for place, color in points.items()} == {
        (float(length), value): value > 1e-3 for (_, length), values in SCORES.items() for value in values
    }
    assert axes.get_yscale() == "log"


@pytest.mark.parametrize(
    ("name", "mean", "middles"), [("adding", "geometric", [0.2, 0.6]), ("parity", "arithmetic", [25.0, 65.0])]
)
def test_a_line_joins_the_means_that_the_caption_names(
    ladder_of: Callable[..., list[Ladder]], tmp_path: Path, name: str, mean: str, middles: list[float]
) -> None:
    (ladder,) = ladder_of({("gru", 10): [0.1, 0.4], ("gru", 20): [0.4, 0.9]}, name)
    block = plot_ladder(ladder, FigureWriter(tmp_path))
    assert isinstance(block, FigureBlock)
    assert f"a line joins the means ({mean})" in block.caption
    line = ladder_figure(ladder).axes[0].lines[0]
    assert line.get_linestyle() == "-"
    assert list(line.get_ydata()) == pytest.approx(middles)


def test_ratios_of_gradients_are_those_of_the_first_layer(runs_of: Callable[..., list[Run]], tmp_path: Path) -> None:
    runs = []
    for run in runs_of({("gru", 10): [0.1], ("gru", 20): [0.1]}):
        length = int(run.number("data.length") or 0)
        # Of the layer next to the input the norm at step t is t, of the other one t².
        rows = [f"1,{layer},gradient_norm,{t},{t ** (layer + 1)}" for layer in (0, 1) for t in range(1, length + 1)]
        moved = replace(run, path=tmp_path / str(length))
        moved.path.mkdir()
        text = "\n".join(["epoch,layer,quantity,index,value", *rows])
        moved.files.gradient_flow_file.write_text(text, encoding="utf-8")
        runs.append(moved)
    (ladder,) = find_ladders(make_groups(runs)[0])
    ratios = ratios_of(ladder.lines["gru"])
    assert ratios == {"after the first epoch": {10: pytest.approx(1 / 10), 20: pytest.approx(1 / 20)}}
    _, panel = ladder_figure(ladder).axes
    assert list(panel.lines[0].get_ydata()) == pytest.approx([1 / 10, 1 / 20])


def test_gradients_are_those_of_the_first_step(ladder_of: Callable[..., list[Ladder]]) -> None:
    (ladder,) = ladder_of({("gru", 10): [0.1], ("gru", 20): [0.1]})
    rows: list[Any] = ["epoch,layer,quantity,index,value"]
    for rung in ladder.lines["gru"]:
        values = "\n".join(f"1,0,gradient_norm,{t},{2.0 if t == 1 else 4.0}" for t in range(1, rung.length + 1))
        for run in rung.setting.runs:
            run.path.mkdir(exist_ok=True)
            run.files.gradient_flow_file.write_text(f"{rows[0]}\n{values}\n", encoding="utf-8")
    # Both lengths share a directory in this fixture, so the last file written counts.
    assert ratios_of(ladder.lines["gru"]) == {"after the first epoch": {10: 0.5, 20: 0.5}}
    assert len(ladder_figure(ladder).axes) == 2


def test_another_network_is_another_line(runs_of: Callable[..., list[Run]]) -> None:
    small = runs_of({("lstm", 50): [1e-4, 1e-4], ("lstm", 100): [1e-4, 1e-4]})
    large = [replace(run, config=widened(run.config)) for run in runs_of({("lstm", 200): [1e-4, 1e-4]})]
    (ladder,) = find_ladders(make_groups([*small, *large])[0])
    assert {label: [rung.length for rung in line] for label, line in ladder.lines.items()} == {
        "lstm, hidden 8": [50, 100],
        "lstm, hidden 512": [200],
    }


def widened(config: Any) -> dict[str, Any]:
    return {**config, "model": {**config["model"], "hidden_size": 512}}


def test_a_further_setting_at_one_length_is_a_line_of_its_own(runs_of: Callable[..., list[Run]]) -> None:
    runs = runs_of(SCORES)
    further = [
        replace(run, config={**(run.config or {}), "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.1}})
        for run in runs_of({("srn", 200): [0.1, 0.1]})
    ]
    (ladder,) = find_ladders(make_groups([*runs, *further])[0])
    assert {label: [rung.length for rung in line] for label, line in ladder.lines.items()} == {
        "lstm, lr 0.01": [50, 200],
        "gru, lr 0.01": [50, 200],
        "srn, lr 0.01": [50, 200],
        "srn, lr 0.1": [200],
    }
