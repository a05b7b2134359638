"""The files of a run directory."""

import errno
import logging
from pathlib import Path

import pytest
from rich.console import Console

from rnnexp.core.errors import UserError
from rnnexp.tracking import run_log
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.summary import evaluation_table
from support.programs import Outcome


def test_kept_checkpoints_are_in_the_order_of_training(tmp_path: Path) -> None:
    names = ["epoch-002-step-95", "epoch-002-step-110", "epoch-999", "epoch-1000"]
    run = RunDirectory(tmp_path)
    run.checkpoints.mkdir()
    for name in sorted(names):
        (run.checkpoints / f"{name}.ckpt").touch()
    assert [path.stem for path in run.kept_checkpoints] == names


def test_a_checkpoint_is_no_run_directory_and_the_run_is_named(tmp_path: Path) -> None:
    run = RunDirectory(tmp_path / "run")
    run.checkpoints.mkdir(parents=True)
    run.config_file.touch()
    with pytest.raises(UserError, match=f"is not a run directory, but a checkpoint in one: name {run.path}$"):
        RunDirectory.of_finished_run(run.last_checkpoint)


@pytest.mark.parametrize("name", ["config.yaml", "checkpoints/best.ckpt", "figures/a.png", "rank-1.log"])
def test_files_of_a_run_are_not_overwritten(name: str, finished: Outcome, tmp_path: Path) -> None:
    run = RunDirectory(finished.directory)
    read = [Path(file["path"]) for file in run.read_config()["inputs"]]
    assert read
    with pytest.raises(UserError, match="would overwrite it: name another"):
        run.require_not_overwritten(run.path / name)
    with pytest.raises(UserError, match="is an input of the run"):
        run.require_not_overwritten(read[0].parent / "." / read[0].name)
    for other in (run.path / "predictions.csv", tmp_path / "config.yaml", run.path / "mine" / "config.yaml"):
        run.require_not_overwritten(other)


def test_without_a_log_that_is_not_needed_messages_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_arguments: object, **_options: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(run_log, "BoundedHandler", refuse)
    with run_log.logged_to(tmp_path / "evaluate.log", is_needed=False):
        logging.getLogger("rnnexp").info("written")
    captured = capsys.readouterr()
    assert captured.err == f"rnnexp: not logged: {tmp_path}/evaluate.log: Permission denied\n"
    assert captured.out == "written\n"
    with pytest.raises(PermissionError), run_log.logged_to(tmp_path / "train.log"):
        pass


def test_metrics_of_a_group_are_hidden_and_not_those_of_the_whole() -> None:
    metrics = {"test/rmse": 1.5, "test/rmse/height": 1.0, "test/rmse/width": 2.0, "test/literature/bleu": 30.0}
    data = {"name": "sequences"}
    table = evaluation_table({"name": "a", "weights": "b", "num_test_samples": 3, "data": data, "metrics": metrics})
    console = Console(width=100)
    with console.capture() as captured:
        console.print(table)
    shown = captured.get()
    assert "test/rmse " in shown
    assert "test/literature/bleu" in shown
    assert "test/rmse/height" not in shown
