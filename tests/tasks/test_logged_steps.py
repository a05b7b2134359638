"""The loss is logged only at logged steps, and the last loss of training is always recorded."""

import csv

from rnnexp.core.files.atomic import read_json
from support.programs import Run


def last_loss(run: Run, *overrides: str, every: int) -> float:
    outcome = run(f"trainer.log_every_n_steps={every}", "test_weights=none", *overrides)
    assert outcome.exit_code == 0, outcome.stderr
    metrics = read_json(outcome.directories[-1] / "result.json")["metrics"]
    return float(metrics["train/loss"])


def test_the_loss_is_logged_at_every_nth_step(run: Run) -> None:
    outcome = run("trainer.log_every_n_steps=3")
    assert outcome.exit_code == 0, outcome.stderr
    rows = list(csv.DictReader((outcome.directory / "metrics.csv").read_text(encoding="utf-8").splitlines()))
    for metric in ("train/loss", "train/lr", "train/grad_norm"):
        assert [row["step"] for row in rows if row[metric]] == ["2", "5", "8"], metric


def test_the_last_loss_of_an_epoch_is_recorded_without_being_logged(run: Run) -> None:
    assert last_loss(run, every=7) == last_loss(run, every=1)


def test_the_last_loss_is_recorded_if_training_ends_within_an_epoch(run: Run) -> None:
    stopped = last_loss(run, "trainer.max_steps=4", every=7)
    assert stopped == last_loss(run, "trainer.max_steps=4", every=1)
    assert stopped != last_loss(run, "trainer.max_steps=3", every=7)
