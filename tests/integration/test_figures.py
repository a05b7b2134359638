"""A run continues without a figure that fails."""

import sys
from typing import Any

import pytest
from lightning.pytorch.loggers import CSVLogger as LightningCSVLogger

from rnnexp.loggers.csv import CSVLogger
from rnnexp.runs import figures
from support.programs import Run


def broken(*_arguments: Any, **_options: Any) -> Any:
    raise RuntimeError("no such font")


@pytest.mark.parametrize("name", ["learning_curves", "resolve_name", "save_figure"])
def test_a_figure_that_fails_is_omitted(run: Run, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.setattr(figures, name, broken)
    outcome = run(figures=True)
    assert outcome.exit_code == 0
    assert (outcome.status, outcome.result["status"]) == ("done", "done")
    assert "no such font" in outcome.stdout
    log = (outcome.directory / "train.log").read_text(encoding="utf-8")
    assert "Traceback" in log
    assert 'raise RuntimeError("no such font")' in log
    drawn = {path.stem for path in (outcome.directory / "figures").glob("*.png")}
    everything = {"learning_curves", "class_scores", "confusion_matrix", "confident_mistakes"}
    left_out = {"learning_curves": {"learning_curves"}, "resolve_name": everything - {"learning_curves"}}
    assert drawn == everything - left_out.get(name, everything)


def test_a_logger_that_cannot_show_a_figure(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert issubclass(CSVLogger, LightningCSVLogger)
    monkeypatch.setattr(CSVLogger, "log_figure", broken)
    outcome = run("callbacks.predictions=null", figures=True)
    assert outcome.exit_code == 0
    assert outcome.status == "done"
    assert (outcome.directory / "figures/learning_curves.png").is_file()


@pytest.mark.parametrize("method", ["summarize", "finish"])
def test_a_logger_that_fails_after_the_result(run: Run, monkeypatch: pytest.MonkeyPatch, method: str) -> None:
    monkeypatch.setattr(CSVLogger, method, broken)
    outcome = run("callbacks.predictions=null", "test_weights=none")
    assert outcome.exit_code == 0, outcome.stderr
    assert (outcome.status, outcome.result["status"]) == ("done", "done")
    assert "no such font" in outcome.stdout


def test_a_plotting_library_that_cannot_be_imported(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "rnnexp.runs.figures", None)
    outcome = run("test_weights=none", figures=True)
    assert outcome.exit_code == 0, outcome.stderr
    assert (outcome.status, outcome.result["status"]) == ("done", "done")
    assert "figures" in outcome.stdout


def test_an_error_of_a_logger_does_not_replace_the_error_of_the_run(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(CSVLogger, "finish", broken)
    outcome = run("ckpt_path=nowhere.ckpt")
    assert outcome.exit_code == 2
    assert "nowhere.ckpt is missing" in outcome.line
