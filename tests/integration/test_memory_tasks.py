"""Runs of the memory tasks: trained, scored again, continued, with their figures, and compared in a report."""

import json
from pathlib import Path
from typing import Any

import pytest

from rnnexp.report import __main__ as report
from support.programs import Outcome, Run, call

SMALL = [
    *("data.num_train=64", "data.num_val=20", "data.num_test=30", "data.batch_size=16", "callbacks=gradient_flow"),
    *("model=gru", "model.num_layers=1", "model.hidden_size=8", "trainer.max_epochs=1", "logger=csv", "trainer=cpu"),
    "trainer.log_every_n_steps=1",
]
TASKS = {"adding": "regression", "copying": "tagging", "delayed_recall": "classification", "parity": "tagging"}
CLASSES = {"confusion_matrix", "class_scores"}
FIGURES = {
    "regression": {"predictions", "worst_sequences"},
    "tagging": {*CLASSES, "worst_sequences"},
    "classification": {*CLASSES, "confident_mistakes"},
}


def train(run: Run, name: str, *overrides: str) -> Outcome:
    data = [f"task={TASKS[name]}", f"data={name}", *SMALL]
    outcome = run("data.length=20", *overrides, data=data, figures=True)
    assert outcome.exit_code == 0, outcome.stderr
    assert "left out" not in outcome.stdout + outcome.stderr
    return outcome


OTHERS = (pytest.param(name, marks=pytest.mark.slow) for name in TASKS if name != "adding")


@pytest.mark.parametrize("name", ["adding", *OTHERS])
def test_a_run_is_recorded_and_scored_again(run: Run, score: Run, name: str) -> None:
    trained = train(run, name)
    data, metrics = trained.result["data"], trained.result["metrics"]
    assert (data["name"], data["length"], data["num_test"]) == (name, 20, 30)
    assert trained.result["num_test_samples"] == 30
    assert trained.directory.name.endswith(f"{name}-20_gru")
    drawn = {path.stem for path in (trained.directory / "figures").iterdir()}
    assert drawn == {"learning_curves", "gradient_flow", *FIGURES[TASKS[name]]}
    scored = score(f"run={trained.directory}")
    assert scored.exit_code == 0, scored.stderr
    (file,) = (trained.directory / "evaluations").iterdir()
    again: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))["metrics"]
    tested = {key: value for key, value in metrics.items() if key.startswith("test/")}
    assert {key: again[key] for key in tested} == pytest.approx(tested, nan_ok=True)


@pytest.mark.slow
def test_a_continued_run_is_the_whole_run(run: Run) -> None:
    steps = ["trainer.max_epochs=2", "scheduler=constant", "test_weights=last"]
    whole = train(run, "adding", *steps)
    part = train(run, "adding", *steps, "trainer.max_epochs=1")
    rest = train(run, "adding", *steps, f"ckpt_path={part.directory}/checkpoints/last.ckpt")
    assert whole.result["num_steps"] == rest.result["num_steps"] == 8
    assert rest.result["metrics"]["test/loss"] == whole.result["metrics"]["test/loss"]


def test_data_of_another_task_are_refused(run: Run) -> None:
    outcome = run(data=["task=classification", "data=adding", *SMALL])
    assert outcome.exit_code == 2
    assert "AddingDataModule" in outcome.line
    assert "task=regression" in outcome.line


@pytest.mark.slow
def test_the_report_has_the_ladder(run: Run, tmp_path: Path) -> None:
    for length in (10, 20):
        train(run, "adding", f"data.length={length}")
    outcome = call(report.main, tmp_path, [str(tmp_path / "outputs"), "--output", str(tmp_path / "report")])
    assert outcome.exit_code == 0, outcome.stderr
    assert "adding: the largest T solved by gru none." in outcome.stdout
    page = (tmp_path / "report" / "report.md").read_text(encoding="utf-8")
    assert "## Ladder of adding" in page
    assert (tmp_path / "report" / "figures" / "adding-ladder.png").is_file()
