"""A user's sequences from training to predictions."""

import csv
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from rnnexp import evaluate, predict, train
from rnnexp.core.files.atomic import read_json
from support.continuing import SEND, differences, resume, start
from support.programs import Outcome, call
from support.sequence_files import NAMES, rows_of, waves, write_csv, write_npz

SMALL = [
    "data=sequences",
    "data.batch_size=8",
    "data.window=2",
    "trainer=cpu",
    "trainer.log_every_n_steps=1",
    "model.hidden_size=24",
    "model.num_layers=1",
    "logger=csv",
]


def learn(place: Path, *overrides: str, epochs: int = 1, figures: bool = False) -> Outcome:
    arguments = [*SMALL, f"trainer.max_epochs={epochs}", f"paths.outputs_dir={place}", *overrides]
    outcome = call(train.main, place, arguments, figures=figures)
    assert outcome.exit_code == 0, outcome.stderr
    return outcome


def predicted(place: Path, run: Path, *arguments: str) -> list[dict[str, str]]:
    """Return the rows of the file of predictions."""
    output = place / "predictions.csv"
    outcome = call(predict.main, place, [f"run={run}", f"output={output}", *arguments])
    assert outcome.exit_code == 0, outcome.stderr
    with output.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def classified(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """A run that has learned the kinds of waves; its training file is deleted."""
    place = tmp_path_factory.mktemp("classified")
    path = write_npz(place / "waves.npz", waves(150))
    options = [f"data.train={path}", "data.name=waves", "optimizer.lr=0.02", "task.pooling=mean"]
    outcome = learn(place, *options, epochs=12, figures=True)
    path.unlink()
    return outcome


def test_classes_are_learned_and_named(classified: Outcome) -> None:
    metrics = classified.result["metrics"]
    assert metrics["test/acc"] > 0.8
    assert {name for name in metrics if name.startswith("test/acc_class/")} == {f"test/acc_class/{n}" for n in NAMES}
    assert classified.result["data"]["classes"] == "run, sit, walk"
    assert (classified.directory / "figures" / "confusion_matrix.png").exists()
    assert classified.directory.name.endswith("waves_gru")


def test_test_samples_are_named_as_in_the_file(classified: Outcome) -> None:
    predictions = torch.load(classified.directory / "test_predictions.pt", weights_only=True)
    ids = [int(each) for each in predictions["ids"]]
    names = np.unique(waves(150)["y"])
    assert len(ids) == classified.result["data"]["num_test"] == 30
    assert [names[label] for label in predictions["labels"]] == [waves(150)["y"][place] for place in ids]
    assert ids != list(range(30)), "they are a random part of the file"


@pytest.mark.parametrize("task", ["classification", "tagging"])
def test_ids_of_a_limited_test(task: str, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "waves.csv", rows_of(waves(60)))
    options = [f"data.train={path}", "data.features=[speed,weight]", "data.eval_batch_size=5"]
    outcome = learn(tmp_path, f"task={task}", *options, "trainer.limit_test_batches=1", "trainer.limit_train_batches=2")
    predictions = torch.load(outcome.directory / "test_predictions.pt", weights_only=True)
    assert len(predictions["ids"]) == 5
    assert set(predictions["ids"]) < {f"s{number}" for number in range(60)}


def test_another_file_is_evaluated_without_the_training_file(classified: Outcome, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "other.npz.csv", [row[:5] for row in rows_of(waves(60, seed=9))])
    # The names of features are those of the table, and the training file had none.
    outcome = call(evaluate.main, tmp_path, [f"run={classified.directory}", f"data.test={path}"])
    assert outcome.exit_code == 0, outcome.stderr
    (file,) = (classified.directory / "evaluations").iterdir()
    evaluation = read_json(file)
    file.unlink()
    assert evaluation["num_test_samples"] == evaluation["data"]["num_test"] == 60
    assert evaluation["metrics"]["test/acc"] > 0.8


def test_predictions_name_the_classes(classified: Outcome, tmp_path: Path) -> None:
    arrays = waves(60, seed=9)
    path = write_npz(tmp_path / "new.npz", {name: arrays[name] for name in ("x", "lengths")})
    rows = predicted(tmp_path, classified.directory, f"input={path}")
    assert [row["id"] for row in rows] == [str(number) for number in range(60)]
    assert np.mean([row["predicted"] == label for row, label in zip(rows, arrays["y"], strict=True)]) > 0.8
    assert all(1 / 3 <= float(row["confidence"]) <= 1 for row in rows)
    one_by_one = predicted(tmp_path, classified.directory, f"input={path}", "data.eval_batch_size=1")
    for row, other in zip(rows, one_by_one, strict=True):
        assert float(row["confidence"]) == pytest.approx(float(other["confidence"]), abs=1e-4)


def test_arrays_in_files_of_their_own_are_predicted(classified: Outcome, tmp_path: Path) -> None:
    arrays = waves(20, seed=9)
    for name in ("x", "lengths"):
        np.save(tmp_path / f"{name}.npy", arrays[name])
    rows = predicted(tmp_path, classified.directory, f"input=[{tmp_path}/x.npy,{tmp_path}/lengths.npy]")
    assert len(rows) == 20


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ({"x": np.zeros((3, 5, 7))}, "has 7 features, and training 2"),
        ({"x": np.full((3, 5, 2), np.nan)}, "is missing"),
        ({"y": np.zeros(3)}, "has no array 'x'"),
    ],
)
def test_bad_input_of_predictions_is_one_line(
    content: dict[str, Any], message: str, classified: Outcome, tmp_path: Path
) -> None:
    path = write_npz(tmp_path / "new.npz", content)
    arguments = [f"run={classified.directory}", f"input={path}", f"output={tmp_path}/p.csv"]
    outcome = call(predict.main, tmp_path, arguments)
    assert outcome.exit_code == 2
    assert message in outcome.line
    assert not (tmp_path / "p.csv").exists()


def test_the_input_is_not_overwritten(classified: Outcome, tmp_path: Path) -> None:
    path = write_csv(tmp_path / "a.csv", rows_of(waves()))
    outcome = call(predict.main, tmp_path, [f"run={classified.directory}", f"input={path}", f"output={path}"])
    assert outcome.exit_code == 2
    assert "would overwrite it" in outcome.line


@pytest.mark.parametrize(("name", "other"), [("output", "input"), ("input", "output")])
def test_null_is_no_file(name: str, other: str, classified: Outcome, tmp_path: Path) -> None:
    file = write_npz(tmp_path / "a.npz", waves()) if other == "input" else tmp_path / "p.csv"
    outcome = call(predict.main, tmp_path, [f"run={classified.directory}", f"{name}=null", f"{other}={file}"])
    assert outcome.exit_code == 2
    assert outcome.line == f"rnnexp: {name} must be a file, not null"


def test_other_runs_do_not_predict(finished: Outcome, tmp_path: Path) -> None:
    path = write_npz(tmp_path / "new.npz", waves())
    outcome = call(predict.main, tmp_path, [f"run={finished.directory}", f"input={path}", f"output={tmp_path}/p.csv"])
    assert outcome.exit_code == 2
    assert "was not trained on data=sequences" in outcome.line


@pytest.mark.slow
def test_numbers_are_predicted_in_their_units(tmp_path: Path) -> None:
    arrays = waves(150)
    rows = rows_of(arrays)
    heights = {f"s{n}": 5000 + 40 * np.nanmean(x[:, 1]) for n, x in enumerate(arrays["x"])}
    table = [[*row[:4], "height" if row[0] == "id" else heights[row[0]]] for row in rows]
    path = write_csv(tmp_path / "waves.csv", table)
    options = ["task=regression", f"data.train={path}", "data.target=height", "task.pooling=mean", "optimizer.lr=0.02"]
    outcome = learn(tmp_path, *options, epochs=12)
    assert outcome.result["metrics"]["test/r2"] > 0.8
    assert outcome.result["data"]["targets"] == "height"
    new = write_csv(tmp_path / "new.csv", [row[:4] for row in table])
    found = {row["id"]: float(row["height"]) for row in predicted(tmp_path, outcome.directory, f"input={new}")}
    errors = [abs(found[name] - height) for name, height in heights.items()]
    assert np.mean(errors) < np.std(list(heights.values())) / 2


def test_the_steps_of_sequences_that_are_named_by_step(tmp_path: Path) -> None:
    """Their names are not lost: the numbers of the steps have another column."""
    table = [["step", "x", "tag"], *([name, value, "up"] for name in ("b", "a") for value in (1.5, 2.5))]
    table += [[f"s{number}", value, "down"] for number in range(20) for value in (-1.0, -2.0)]
    path = write_csv(tmp_path / "steps.csv", table)
    keys = ["data.id=step", "data.time=null", "data.target=tag"]
    outcome = learn(tmp_path, "task=tagging", f"data.train={path}", *keys)
    rows = predicted(tmp_path, outcome.directory, f"input={path}")
    assert [row["step"] for row in rows] == [row[0] for row in table[1:]]
    assert [row["step number"] for row in rows] == ["0", "1"] * 22


def test_steps_are_tagged(tmp_path: Path) -> None:
    table = [[*row[:4], "tag" if row[0] == "id" else ("up" if row[2] > 0 else "down")] for row in rows_of(waves())]
    path = write_csv(tmp_path / "waves.csv", table)
    outcome = learn(tmp_path, "task=tagging", f"data.train={path}", "data.target=tag", "optimizer.lr=0.05", epochs=6)
    assert outcome.result["metrics"]["test/acc"] > 0.9
    rows = predicted(tmp_path, outcome.directory, f"input={path}")
    assert [(row["id"], row["time"]) for row in rows] == [(row[0], str(row[1])) for row in table[1:]]
    assert np.mean([row["predicted"] == known[4] for row, known in zip(rows, table[1:], strict=True)]) > 0.9


@pytest.mark.slow
def test_numbers_of_each_step_are_learned(tmp_path: Path) -> None:
    arrays = waves()
    arrays["y"] = np.nan_to_num(arrays["x"][:, :, :1].repeat(2, axis=2) * [1, 100])
    path = write_npz(tmp_path / "waves.npz", arrays)
    outcome = learn(
        tmp_path, "task=regression", "data.per_step=true", f"data.train={path}", "optimizer.lr=0.05", epochs=6
    )
    assert outcome.result["metrics"]["test/r2"] > 0.8
    rows = predicted(tmp_path, outcome.directory, f"input={path}")
    assert len(rows) == arrays["lengths"].sum()
    assert list(rows[0]) == ["id", "step", "y0", "y1"]


@pytest.mark.slow
def test_an_interrupted_run_ends_with_the_same_weights(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "waves.npz", waves())
    overrides = [
        *SMALL,
        "trainer.max_epochs=3",
        "model.dropout=0.2",
        f"data.train={path}",
        "callbacks.predictions=null",
    ]
    whole = start(tmp_path, "whole", overrides)
    cut = start(tmp_path, "cut", overrides, SEND % (8, 15, "false"))
    assert (whole.exit_code, cut.exit_code) == (0, 143)
    continued = resume(tmp_path / "cut")
    assert continued.exit_code == 0, continued.stderr
    ends = [torch.load(tmp_path / name / "checkpoints/last.ckpt", weights_only=True) for name in ("whole", "cut")]
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "SequencesDataModule"):
        assert differences(ends[0][key], ends[1][key]) == [], key


@pytest.mark.slow
def test_two_processes_count_every_sequence_once(tmp_path: Path) -> None:
    path = write_npz(tmp_path / "waves.npz", waves(61))
    two = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "trainer.max_epochs=2"]
    overrides = [*SMALL, *two, f"data.train={path}", f"paths.output_dir={tmp_path}/run"]
    command = [sys.executable, "-m", "rnnexp.train", *overrides]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    result = read_json(tmp_path / "run" / "result.json")
    assert result["device"]["num_devices"] == 2
    assert result["num_test_samples"] == result["data"]["num_test"] == 12
    # Accuracies are shares of all sequences of the split, which the processes divide.
    for split in ("train", "val"):
        right = result["metrics"][f"{split}/acc"] * result["data"][f"num_{split}"]
        assert right == pytest.approx(round(right), abs=1e-3)


def test_a_mistake_is_one_line(tmp_path: Path) -> None:
    for overrides, message in (
        (["data.train=nowhere.npz"], "there is no such file"),
        (["data.val_size=2.5"], "data.val_size must be"),
        (["task=translation", "data=sequences", "data.train=x.npz"], "produces LabeledSequences: choose data="),
    ):
        outcome = call(train.main, tmp_path, [*SMALL, f"paths.outputs_dir={tmp_path}", *overrides])
        assert outcome.exit_code == 2
        assert message in outcome.line
