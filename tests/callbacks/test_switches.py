"""Each callback is disabled by one override, and the run still succeeds."""

import pytest
import yaml

from rnnexp.cli.conf_dir import config_root
from support.programs import Outcome, Run

NAMES = list(yaml.safe_load((config_root() / "callbacks" / "default.yaml").read_text(encoding="utf-8")))
# The file that is missing when a callback is disabled.
LEFT_OUT = {
    "best_checkpoint": "checkpoints/best.ckpt",
    "last_checkpoint": "checkpoints/last.ckpt",
    "predictions": "test_predictions.pt",
}
METRICS = {
    "throughput": "train/samples_per_second",
    "gradient_norm": "train/grad_norm",
    "learning_rate": "train/lr",
    "best_checkpoint": "val/acc_best",
}


def test_the_documented_callbacks_exist() -> None:
    assert set(NAMES) >= {*LEFT_OUT, *METRICS, "early_stopping", "divergence", "interruption", "progress"}


@pytest.mark.parametrize("name", NAMES)
def test_one_callback_is_disabled(run: Run, finished: Outcome, name: str) -> None:
    # Drawing takes longer than the rest of the test; without predictions nothing is drawn.
    off = {name, "predictions"}
    outcome = run(*(f"callbacks.{switch}=null" for switch in off), "logger=none")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.status == "done"
    metrics = outcome.result["metrics"]
    assert "test/acc" in metrics
    for other, metric in METRICS.items():
        assert (metric in metrics) == (other not in off), metric
    for other, file in LEFT_OUT.items():
        assert (finished.directory / file).is_file()
        assert (outcome.directory / file).is_file() == (other not in off), file
    assert ("epoch 1/1 ended" in outcome.stdout) == (name != "progress")


def test_all_callbacks_are_disabled(run: Run) -> None:
    outcome = run("callbacks=none", "logger=none")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.status == "done"
    assert "test/acc" in outcome.result["metrics"]
    assert not list((outcome.directory / "checkpoints").iterdir())


def test_without_a_best_checkpoint_the_last_is_tested(run: Run) -> None:
    experiment = ["trainer.max_epochs=2", "logger=none", "callbacks.predictions=null"]
    last = run(*experiment, "test_weights=last")
    assert (
        run(*experiment, "callbacks.best_checkpoint=null").result["metrics"]["test/loss"]
        == (last.result["metrics"]["test/loss"])
    )
