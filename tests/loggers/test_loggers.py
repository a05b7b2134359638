"""Each option of the group logger writes its files into the run directory."""

from pathlib import Path

import pytest

from rnnexp.core.files.atomic import before_write
from rnnexp.loggers.csv import CSVLogger
from rnnexp.tracking.metrics_file import read_rows
from support.programs import Run


def test_csv_has_a_row_per_logged_step(run: Run) -> None:
    outcome = run("logger=csv", "trainer.log_every_n_steps=3", "test_weights=none")
    rows = [row for row in outcome.metrics_rows if row["train/loss"]]
    assert [int(row["step"]) for row in rows] == [2, 5, 8]
    assert all(float(row["train/lr"]) > 0 for row in rows)


def test_rows_before_the_resumed_step_are_kept(tmp_path: Path) -> None:
    (tmp_path / "metrics.csv").write_text("epoch,step,train/loss\n0,4,2.5\n0,9,1.5\n", encoding="utf-8")
    logger = CSVLogger(str(tmp_path), flush_every_n_steps=10)
    logger.continue_from(step=9)
    assert logger.experiment.metrics == []
    assert (tmp_path / "metrics.csv").read_text(encoding="utf-8").splitlines() == ["epoch,step,train/loss", "0,4,2.5"]


def test_without_a_logger_the_result_is_written(run: Run) -> None:
    outcome = run("logger=none", figures=True)
    assert outcome.exit_code == 0, outcome.stderr
    assert not (outcome.directory / "metrics.csv").exists()
    assert "test/acc" in outcome.result["metrics"]
    figures = {path.name for path in (outcome.directory / "figures").iterdir()}
    assert figures == {"class_scores.png", "confusion_matrix.png", "confident_mistakes.png"}


def test_tensorboard_writes_events_and_csv(run: Run) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    outcome = run("logger=tensorboard")
    assert outcome.exit_code == 0, outcome.stderr
    events = EventAccumulator(str(outcome.directory / "tensorboard"))
    events.Reload()
    assert [event.step for event in events.Scalars("train/loss")] == list(range(10))
    (accuracy,) = events.Scalars("test/acc")
    assert accuracy.value == pytest.approx(outcome.result["metrics"]["test/acc"])
    assert (outcome.directory / "metrics.csv").is_file()


@pytest.mark.parametrize(
    ("damage", "is_kept"),
    [
        (b"0,9", False),
        (b"\xff\xfe,1,2\n", True),
        (b"0,9\n", True),
        (b"0,9,1.5,7\n", True),
        (b"\0\n", True),
        (b"", False),
    ],
)
def test_damaged_rows_are_left_out(tmp_path: Path, damage: bytes, is_kept: bool) -> None:
    """A line without an end is what a kill leaves; anything else is kept beside the file."""
    file = tmp_path / "metrics.csv"
    before = b"epoch,step,train/loss\n0,4,2.5\n" + damage
    file.write_bytes(before)
    logger = CSVLogger(str(tmp_path), flush_every_n_steps=10)
    logger.continue_from(step=9)
    logger.log_metrics({"epoch": 0, "train/loss": 0.5}, step=9)
    logger.finalize("success")
    assert file.read_text(encoding="utf-8") == "epoch,step,train/loss\n0,4,2.5\n0,9,0.5\n"
    copies = {path.name: path.read_bytes() for path in tmp_path.iterdir() if path != file}
    assert copies == ({"metrics.csv.damaged": before} if is_kept else {})


@pytest.mark.parametrize("content", [b"", b"\xff\n0,1\n", b"epoch,st"])
def test_a_file_without_a_header_has_no_rows(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "metrics.csv").write_bytes(content)
    logger = CSVLogger(str(tmp_path), flush_every_n_steps=10)
    logger.continue_from(step=9)
    logger.log_metrics({"epoch": 0, "train/loss": 0.5}, step=9)
    logger.finalize("success")
    assert (tmp_path / "metrics.csv").read_text(encoding="utf-8") == "epoch,step,train/loss\n0,9,0.5\n"


def test_a_new_column_keeps_the_rows(tmp_path: Path) -> None:
    logger = CSVLogger(str(tmp_path), flush_every_n_steps=1)
    logger.log_metrics({"loss": 0.5}, step=0)
    logger.log_metrics({"loss": 0.25, "acc": 1.0}, step=1)
    assert (tmp_path / "metrics.csv").read_text(encoding="utf-8") == "acc,loss,step\n,0.5,0\n1.0,0.25,1\n"


@pytest.mark.parametrize("error", [KeyboardInterrupt, OSError])
def test_a_write_that_fails_leaves_rows_of_one_width(tmp_path: Path, error: type[BaseException]) -> None:
    """A second Ctrl-C or a full disk while a column is added: the rows are written once more at the end of the run."""
    logger = CSVLogger(str(tmp_path), flush_every_n_steps=10)
    logger.log_metrics({"epoch": 0, "train/loss": 1.0}, step=1)
    logger.save()
    logger.log_metrics({"epoch": 0, "val/loss": 2.0}, step=1)

    def fail(_: Path) -> None:
        raise error

    before_write.append(fail)
    try:
        with pytest.raises(error):
            logger.save()
    finally:
        before_write.remove(fail)
    logger.finalize("failed")
    rows, is_damaged = read_rows(tmp_path / "metrics.csv")
    assert rows == [{"epoch": "0", "step": "1", "train/loss": "1.0"}, {"epoch": "0", "step": "1", "val/loss": "2.0"}]
    assert not is_damaged
