"""Measurements, log lines and stops of the training callbacks."""

import re
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from lightning.pytorch import Callback, LightningModule, Trainer
from lightning.pytorch.strategies import SingleDeviceStrategy

from rnnexp.callbacks.checkpoints import BestCheckpoint, KeptCheckpoints
from rnnexp.callbacks.early_stopping import EarlyStopping
from rnnexp.callbacks.progress import ProgressLines
from rnnexp.callbacks.ties import rank
from support.programs import Run

BARE = ["test_weights=none", "callbacks.predictions=null"]
DIVERGES = ["optimizer.lr=1e30", "scheduler=constant"]


class TrueNorms(Callback):
    """A callback that computes the norm of the gradient before and after clipping."""

    before: list[float]
    after: list[float]

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        TrueNorms.before, TrueNorms.after = [], []

    @staticmethod
    def norm(module: LightningModule) -> float:
        squares = [
            (parameter.grad.double() ** 2).sum() for parameter in module.parameters() if parameter.grad is not None
        ]
        return float(torch.stack(squares).sum().sqrt())

    def on_before_optimizer_step(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:  # noqa: ARG002
        TrueNorms.before.append(self.norm(pl_module))

    def on_before_zero_grad(self, trainer: Trainer, pl_module: LightningModule, optimizer: Any) -> None:  # noqa: ARG002
        if trainer.global_step > 0:
            TrueNorms.after.append(self.norm(pl_module))


@pytest.mark.parametrize("accumulated", [1, 2])
def test_the_logged_norm_is_that_of_the_whole_gradient_before_clipping(run: Run, accumulated: int) -> None:
    clip = 0.01
    probe = "+callbacks.probe._target_=callbacks.test_training_callbacks.TrueNorms"
    options = [f"trainer.gradient_clip_val={clip}", f"trainer.accumulate_grad_batches={accumulated}"]
    outcome = run(*BARE, *options, probe)
    assert outcome.exit_code == 0, outcome.stderr
    # Importing by path creates a second module of this file; the lists are attributes of its class.
    from callbacks.test_training_callbacks import TrueNorms as Probed

    assert len(Probed.before) == 10 // accumulated
    assert outcome.column("train/grad_norm") == pytest.approx(Probed.before, rel=1e-5)
    assert min(Probed.before) > 10 * clip
    assert Probed.after
    assert Probed.after == pytest.approx([clip] * len(Probed.after), rel=1e-3)


def test_the_learning_rate_is_the_one_that_was_used(run: Run) -> None:
    outcome = run(*BARE, "scheduler=cosine", "scheduler.warmup=0", "optimizer.lr=0.1")
    expected = [0.05 * (1 + torch.cos(torch.tensor(step / 10 * torch.pi)).item()) for step in range(10)]
    assert outcome.column("train/lr") == pytest.approx(expected, rel=1e-5)


class SlowBatches(Callback):
    """A callback that makes every step take at least a given time."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, batch_idx: int) -> None:  # noqa: ARG002
        time.sleep(self.seconds)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        time.sleep(30 * self.seconds)


def test_throughput_excludes_validation(run: Run) -> None:
    """50 images in at least 20 ms, and validations of 600 ms, within and after an epoch, that are not counted."""
    slow = "+callbacks.slow={_target_:callbacks.test_training_callbacks.SlowBatches,seconds:0.02}"
    outcome = run(*BARE, slow, "trainer.max_epochs=2", "trainer.val_check_interval=0.5")
    timing = outcome.result["timing"]
    speed = timing["samples_per_second"]
    assert speed <= 50 / 0.02
    # On a busy machine a batch takes any time.
    assert 2 * 500 / speed < timing["fit_seconds"] - 4 * 0.6
    assert outcome.column("train/samples_per_second")[-1] == pytest.approx(speed)


def test_progress_lines_show_rate_and_time_left(run: Run) -> None:
    outcome = run(*BARE, "callbacks.progress.every_n_seconds=0", "trainer.max_epochs=2")
    line = r"epoch 1/2, batch \d+/10: loss \d\.\d{4}, \d+\.\d steps/s, about 0:\d\d left"
    assert len(re.findall(line, outcome.stdout)) == 10
    metrics = ", ".join(rf"{name} \d\.\d{{4}}" for name in ("train/loss", "val/acc", "val/loss", "val/macro_f1"))
    ended = rf"epoch \d/2 ended: {metrics}, \d+\.\d steps/s"
    assert len(re.findall(ended, outcome.stdout)) == 2
    assert len(re.findall(ended, (outcome.directory / "train.log").read_text(encoding="utf-8"))) == 2
    assert "\x1b" not in outcome.stdout, "no colors and no bar outside a terminal"
    rare = run(*BARE, "callbacks.progress.every_n_seconds=1000")
    assert not re.findall(r"\bbatch\b", rare.stdout)


def test_a_progress_line_shows_the_loss_of_a_batch(run: Run) -> None:
    """The gradients of all batches of the epoch are added, and the loss is their mean."""
    every = ["callbacks.progress.every_n_seconds=0", "trainer.accumulate_grad_batches=10"]
    outcome = run(*BARE, *every)
    losses = [float(loss) for loss in re.findall(r"batch \d+/10: loss (\d\.\d{4}), ", outcome.stdout)]
    assert losses
    assert sum(losses) / len(losses) == pytest.approx(outcome.column("train/loss")[-1], rel=0.5)


def test_progress_lines_without_a_number_of_epochs(run: Run) -> None:
    outcome = run(*BARE, "callbacks.progress.every_n_seconds=0", "trainer.max_epochs=-1", "trainer.max_steps=12")
    assert re.search(r"epoch 2, batch 2/10: loss .* about 0:00 left", outcome.stdout)
    assert re.search("epoch 1 ended: ", outcome.stdout)


@pytest.mark.parametrize("every", [1, 4, 1000])
def test_divergence_is_noticed_and_diagnosed(run: Run, every: int) -> None:
    """Divergence is noticed at the end of the epoch with every=1000, before its weights are saved as the best."""
    outcome = run(*BARE, *DIVERGES, f"callbacks.divergence.every_n_steps={every}")
    assert outcome.exit_code == 4
    assert outcome.status == "diverged"
    found = re.search(
        r"within the (\d+) steps before step (\d+) \(epoch 1, learning rate 1e\+30; (.*)\): try", outcome.line
    )
    assert found, outcome.line
    assert int(found[1]) == every
    # The first step makes the weights very large, and the second or third loss is NaN.
    assert int(found[2]) in {1: (2, 3), 4: (4,), 1000: (10,)}[every]
    assert re.fullmatch(r"\d parameters are not finite, first model\.stack\.weight_ih_l0", found[3])
    assert "lower optimizer.lr=" in outcome.line
    assert not list((outcome.directory / "checkpoints").iterdir())


def test_without_the_callback_divergence_is_not_detected(run: Run) -> None:
    outcome = run(*BARE, *DIVERGES, "callbacks.divergence=null", "callbacks.gradient_norm=null")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.status == "done"


def test_early_stopping_stops_and_logs_the_reason(run: Run) -> None:
    """A learning rate of zero: no epoch is better than the first."""
    patience = ["callbacks.early_stopping.patience=2", "trainer.max_epochs=9", "optimizer.lr=0", "scheduler=constant"]
    outcome = run(*BARE, *patience)
    assert outcome.status == "done"
    assert outcome.result["num_epochs"] == 3
    assert "stopped early: Monitored metric val/acc did not improve in the last 2 records" in outcome.stdout
    untouched = run(*BARE, *patience, "callbacks.early_stopping=null")
    assert untouched.result["num_epochs"] == 9
    assert "stopped early" not in untouched.stdout


def test_early_stopping_waits_for_a_minimum(run: Run) -> None:
    """Patience is lost in epoch 2, and later steps are logged as often as before."""
    lost = ["callbacks.early_stopping.patience=1", "trainer.max_epochs=9", "optimizer.lr=0", "scheduler=constant"]
    outcome = run(*lost, "+trainer.min_epochs=4", "trainer.log_every_n_steps=4")
    assert outcome.result["num_epochs"] == 4
    assert "stopped early" in outcome.stdout
    assert len(outcome.column("train/lr")) == 40 / 4


@pytest.mark.parametrize("mode", ["max", "min"])
def test_one_order_of_epochs(mode: str) -> None:
    sign = 1 if mode == "max" else -1
    nan, infinity = float("nan"), float("inf")
    # (value, loss), the worst first
    worst_first = [
        (nan, nan),
        (nan, 1.0),
        (sign * 0.5, nan),
        (sign * 0.5, 2.0),
        (sign * 0.5, 1.0),
        (sign * 0.75, infinity),
    ]
    assert sorted(worst_first, key=lambda epoch: rank(*epoch, mode)) == worst_first
    assert len({rank(*epoch, mode) for epoch in worst_first}) == len(worst_first)


def test_among_equal_values_the_lower_loss_is_the_best(run: Run, translate_tiny: Callable[[str], list[str]]) -> None:
    data = ["task=translation", *translate_tiny("Phrasebook")]
    # A translation that is cut after one token is never exact.
    never = ["monitor=val/exact_match", "task.max_ratio=0.01", "task.max_extra=1"]
    kept = ["callbacks=[averaging,translation]", "callbacks.kept_checkpoints.keep=2"]
    kept += ["callbacks.early_stopping.patience=1"]
    outcome = run(*never, *kept, "trainer.max_epochs=4", "test_weights=none", data=data)
    assert outcome.exit_code == 0, outcome.stderr
    losses = outcome.column("val/loss")
    assert len(losses) == 4, "not stopped early"
    best = torch.load(outcome.directory / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["epoch"] == losses.index(min(losses)) == 3
    lowest = sorted(sorted(range(4), key=losses.__getitem__)[:2])
    names = sorted(path.name for path in (outcome.directory / "checkpoints").glob("epoch-*"))
    assert names == [f"epoch-{epoch:03d}.ckpt" for epoch in lowest]
    assert outcome.column("val/exact_match") == [0] * 4
    assert outcome.stdout.count("val/exact_match is 0 in each of 3 validations: it does not tell epochs apart") == 1


def test_a_metric_that_moved_before_an_interruption_is_not_called_constant(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    def validate(callback: BestCheckpoint, *values: float) -> None:
        for value in values:
            metrics = {"val/acc": torch.tensor(value), "val/loss": torch.rand(())}
            trainer: Any = SimpleNamespace(callback_metrics=metrics, strategy=None)
            callback.check_monitor_top_k(trainer, metrics["val/acc"])

    before, after, constant = (BestCheckpoint(str(tmp_path), "val/acc", "max") for _ in range(3))
    validate(before, 0.5, 1.0)
    after.load_state_dict(before.state_dict())
    validate(after, 1.0, 1.0, 1.0)
    assert not caplog.messages
    validate(constant, 1.0, 1.0, 1.0)
    assert caplog.messages[0].startswith("val/acc is 1 in each of 3 validations")


def trainer_of(value: float, loss: float, **attributes: Any) -> Any:
    """Return what the callbacks read and set of a trainer after a validation."""
    return SimpleNamespace(
        callback_metrics={"val/acc": torch.tensor(value), "val/loss": torch.tensor(loss)},
        strategy=SingleDeviceStrategy("cpu"),
        is_global_zero=True,
        world_size=1,
        current_epoch=0,
        should_stop=False,
        fast_dev_run=False,
        fit_loop=SimpleNamespace(_can_stop_early=True),
        **attributes,
    )


@pytest.mark.parametrize(("mode", "sign"), [("max", 1), ("min", -1)])
def test_a_continued_run_knows_the_epochs_that_were_kept(mode: str, sign: int, tmp_path: Path) -> None:
    earlier, here = tmp_path / "earlier", tmp_path / "here"
    before, after = (KeptCheckpoints(str(place), 3, "val/acc", mode) for place in (earlier, here))
    # Value and loss: among equal values the lower loss is better. The best file is lost.
    results = {"epoch-001.ckpt": (0.5, 0.3), "epoch-002.ckpt": (0.75, 0.4), "epoch-003.ckpt": (0.5, 0.2)}
    lost = {"epoch-004.ckpt": (0.875, 0.1)}
    earlier.mkdir()
    for name in results:
        (earlier / name).write_text(name, encoding="utf-8")
    values = {name: torch.tensor(sign * value) for name, (value, _) in (results | lost).items()}
    before.best_k_models = {str(earlier / name): value for name, value in values.items()}
    before._losses = {name: loss for name, (_, loss) in (results | lost).items()}
    state = before.state_dict()
    trainer = trainer_of(0.0, 0.0, ckpt_path=f"{earlier}/last.ckpt")
    after.on_load_checkpoint(trainer, LightningModule(), {"callbacks": {after.state_key: state}})
    after.load_state_dict(state)
    assert {path.name: path.read_text(encoding="utf-8") for path in here.iterdir()} == {name: name for name in results}
    assert after.best_k_models == {str(here / name): values[name] for name in results}
    assert (after.best_model_path, after.best_model_score) == (f"{here}/epoch-002.ckpt", sign * 0.75)
    for loss, is_better in ((0.35, False), (0.25, True)):
        trainer = trainer_of(sign * 0.5, loss)
        assert after.check_monitor_top_k(trainer, trainer.callback_metrics["val/acc"]) == is_better
        assert after.kth_best_model_path == f"{here}/epoch-001.ckpt", "the one that is deleted next"


def early_stopping(mode: str, patience: int, state: dict[str, Any] | None = None) -> EarlyStopping:
    callback = EarlyStopping("val/acc", mode, patience)
    if state is not None:
        callback.load_state_dict(state)
    return callback


def stops(callback: EarlyStopping, value: float, loss: float) -> bool:
    """Return whether a validation with this result ends training."""
    trainer = trainer_of(value, loss)
    callback._run_early_stopping_check(trainer)
    return bool(trainer.should_stop)


@pytest.mark.parametrize(("mode", "value"), [("max", 0.5), ("min", -0.5)])
def test_a_continued_run_knows_the_best_value_and_how_long_it_has_waited(mode: str, value: float) -> None:
    before = early_stopping(mode, patience=3)
    assert not any(stops(before, value, loss) for loss in (0.3, 0.4, 0.5))
    state = before.state_dict()
    after = early_stopping(mode, 3, state)
    assert (after.wait_count, after.best_score) == (2, value)
    assert stops(after, value, 0.35), "the loss is not lower than the lowest of the earlier process"
    assert not stops(early_stopping(mode, 4, state), value, 0.35), "the patience is that of this run"
    better = early_stopping(mode, 3, state)
    assert not stops(better, value, 0.25)
    assert better.wait_count == 0


@pytest.mark.parametrize(("patience", "ends"), [(1, True), (2, False)])
def test_a_run_that_had_lost_its_patience_does_not_train_on(patience: int, ends: bool) -> None:
    """The earlier process ended between the validation and the stop."""
    before = early_stopping("max", patience=1)
    assert not stops(before, 0.5, 0.3)
    assert stops(before, 0.5, 0.4)
    trainer = trainer_of(0.5, 0.4)
    early_stopping("max", patience, before.state_dict()).on_train_start(trainer, LightningModule())
    assert trainer.should_stop == ends


BETWEEN_EPOCHS = {
    "within epochs": ["trainer.val_check_interval=0.5"],
    "across epochs": ["trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=3"],
    "after some epochs": ["trainer.check_val_every_n_epoch=3"],
}


@pytest.mark.parametrize("overrides", BETWEEN_EPOCHS.values(), ids=BETWEEN_EPOCHS)
def test_the_best_weights_are_those_that_a_validation_measured(run: Run, overrides: list[str]) -> None:
    outcome = run(*BARE, "trainer.max_epochs=6", "optimizer.lr=0.02", *overrides)
    assert outcome.exit_code == 0, outcome.stderr
    rows = [row for row in outcome.metrics_rows if row.get("val/acc")]
    assert len(rows) > 1
    # Rows count steps from 0, checkpoints the steps that are done.
    measured = {int(row["step"]) + 1: (float(row["val/acc"]), -float(row["val/loss"])) for row in rows}
    best = torch.load(outcome.directory / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["global_step"] == max(measured, key=measured.__getitem__)
    assert outcome.result["metrics"]["val/acc_best"] == pytest.approx(max(measured.values())[0], abs=1e-6)


def test_weights_that_were_not_validated_are_said(run: Run) -> None:
    said = "training ended at step {}, which no validation measured: set trainer.val_check_interval"
    for steps in (3, 13):
        assert said.format(steps) in run(f"trainer.max_steps={steps}", "trainer.max_epochs=2").stdout
    for fine in (["trainer.max_epochs=2"], ["trainer.limit_val_batches=0"], ["data.val_size=0"]):
        assert "training ended" not in run(*fine).stdout


def test_an_epoch_without_a_validation_has_no_value(run: Run) -> None:
    options = ["callbacks=averaging", "trainer.max_epochs=6", "trainer.check_val_every_n_epoch=3"]
    outcome = run(*options, "test_weights=average")
    assert outcome.exit_code == 0, outcome.stderr
    names = sorted(path.name for path in (outcome.directory / "checkpoints").glob("epoch-*"))
    assert names == ["epoch-002.ckpt", "epoch-005.ckpt"]
    ended = [line for line in outcome.stdout.splitlines() if re.search(r"epoch \d/6 ended", line)]
    assert ["val/acc" in line for line in ended] == [False, False, True, False, False, True]


def test_validations_within_epochs_are_kept_and_averaged(run: Run) -> None:
    interval = ["trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=3", "trainer.max_epochs=2"]
    outcome = run("callbacks=averaging", "callbacks.kept_checkpoints.keep=3", "test_weights=average", *interval)
    assert outcome.exit_code == 0, outcome.stderr
    kept = [torch.load(path, weights_only=True) for path in (outcome.directory / "checkpoints").glob("epoch-*-step-*")]
    assert len(kept) == 3
    average = torch.load(outcome.directory / "checkpoints/average.ckpt", weights_only=True)["state_dict"]
    weights = {name: weight for name, weight in average.items() if weight.is_floating_point()}
    assert weights
    for name, weight in weights.items():
        torch.testing.assert_close(weight, torch.stack([each["state_dict"][name] for each in kept]).mean(dim=0))
    validated = [line for line in outcome.stdout.splitlines() if re.search(r"epoch \d/2, step \d+ validated: ", line)]
    assert len(validated) == len(outcome.column("val/acc"))
    assert all("val/acc " in line for line in validated)


def test_averaged_weights_are_validated(run: Run) -> None:
    # The mean of one epoch is the best epoch.
    one = run(
        "callbacks=averaging", "callbacks.kept_checkpoints.keep=1", "test_weights=average", "trainer.max_epochs=2"
    )
    assert one.exit_code == 0, one.stderr
    metrics = one.result["metrics"]
    assert metrics["val/acc_average"] == metrics["val/acc_best"]
    assert {name for name in metrics if name.endswith("_average")} == {
        *("val/loss_average", "val/acc_average", "val/macro_f1_average"),
    }
    several = run("callbacks=averaging", "test_weights=average", "trainer.max_epochs=2")
    losses = several.column("val/loss")
    assert several.result["metrics"]["val/loss"] == losses[-1]
    assert several.result["metrics"]["val/loss_average"] not in losses
    assert len(losses) == 2, "the loggers have the validations of training alone"


class EarlierAverage(Callback):
    """A callback that writes an average as an evaluation of the unfinished run does."""

    def on_fit_start(self, trainer: Trainer, pl_module: LightningModule) -> None:  # noqa: ARG002
        place = Path(str(trainer.checkpoint_callback.dirpath))  # type: ignore[union-attr]
        place.mkdir(parents=True, exist_ok=True)
        (place / "average.ckpt").touch()


@pytest.mark.parametrize("tested", ["none", "best"])
def test_an_average_of_fewer_epochs_does_not_outlive_training(run: Run, tested: str) -> None:
    probe = "+callbacks.probe._target_=callbacks.test_training_callbacks.EarlierAverage"
    outcome = run("callbacks=averaging", f"test_weights={tested}", probe)
    assert outcome.exit_code == 0, outcome.stderr
    assert not (outcome.directory / "checkpoints" / "average.ckpt").exists()


def test_the_last_weights_in_place_of_an_average_are_said(run: Run) -> None:
    outcome = run("callbacks=averaging", "test_weights=average", "trainer.limit_val_batches=0")
    assert outcome.exit_code == 0, outcome.stderr
    assert (
        "test_weights=average: no validation has chosen weights to average, so the last ones are tested"
        in outcome.stdout
    )
    assert not [name for name in outcome.result["metrics"] if name.endswith("_average")]


def test_a_metric_of_training_may_decide(run: Run) -> None:
    decides = ["monitor=train/loss", "monitor_mode=min", "callbacks.early_stopping=null"]
    outcome = run(*BARE, *decides, "trainer.val_check_interval=0.5", "trainer.max_epochs=2")
    assert outcome.exit_code == 0, outcome.stderr
    best = torch.load(outcome.directory / "checkpoints" / "best.ckpt", weights_only=True)
    assert best["global_step"] % 2 == 0
    assert outcome.result["metrics"]["train/loss_best"] > 0


@pytest.mark.parametrize("overrides", [["trainer.max_steps=3"], ["trainer.limit_val_batches=0"], ["data.val_size=0"]])
def test_a_run_without_validation_ends_well(run: Run, overrides: list[str]) -> None:
    outcome = run(*overrides)
    assert outcome.exit_code == 0, outcome.stderr
    assert (outcome.directory / "checkpoints/last.ckpt").is_file()
    assert not (outcome.directory / "checkpoints/best.ckpt").exists()
    metrics = outcome.result["metrics"]
    assert "val/acc" not in metrics
    assert "val/acc_best" not in metrics
    assert "test/acc" in metrics


def test_checkpoints_have_fixed_names(run: Run) -> None:
    outcome = run(*BARE, "trainer.max_epochs=4", "optimizer.lr=0.02")
    names = sorted(path.name for path in (outcome.directory / "checkpoints").iterdir())
    assert names == ["best.ckpt", "last.ckpt", "previous.ckpt"]
    best, last, previous = (torch.load(outcome.directory / "checkpoints" / name, weights_only=True) for name in names)
    # Among equal accuracies the lower loss decides.
    accuracies, losses = outcome.column("val/acc"), outcome.column("val/loss")
    ranks = [(-accuracy, loss) for accuracy, loss in zip(accuracies, losses, strict=True)]
    assert best["epoch"] == ranks.index(min(ranks))
    assert (last["epoch"], previous["epoch"]) == (3, 2)


def test_a_checkpoint_is_whole_or_absent(tmp_path: Path) -> None:
    from rnnexp.callbacks.checkpoints import WholeCheckpoints

    path = tmp_path / "checkpoints" / "last.ckpt"
    io = WholeCheckpoints()
    io.save_checkpoint({"weight": torch.ones(2)}, path)
    with pytest.raises(Exception, match=r"pickle|local object"):
        io.save_checkpoint({"weight": torch.zeros(2), "code": lambda: None}, path)
    assert torch.load(path, weights_only=True)["weight"].tolist() == [1, 1]
    assert [file.name for file in path.parent.iterdir()] == ["last.ckpt"]


def test_a_progress_line_shows_hours(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    trainer: Any = SimpleNamespace(
        global_step=0, current_epoch=0, max_epochs=2, estimated_stepping_batches=7325, callback_metrics={}
    )
    lines = ProgressLines(every_n_seconds=0)
    caplog.set_level("INFO")
    now = 100.0
    monkeypatch.setattr("time.monotonic", lambda: now)
    lines.on_train_start(trainer, SimpleNamespace())  # type: ignore[arg-type]
    now, trainer.global_step = 225.0, 125
    lines.on_train_epoch_end(trainer, SimpleNamespace())  # type: ignore[arg-type]
    assert caplog.messages[-1].endswith("1.0 steps/s, about 2:00:00 left")


ENDS_EARLY = {
    "steps": ["trainer.max_steps=4"],
    "stopped": ["trainer.val_check_interval=2", "callbacks.early_stopping.patience=1", "optimizer.lr=1e-12"],
}


@pytest.mark.parametrize("overrides", ENDS_EARLY.values(), ids=ENDS_EARLY)
def test_the_throughput_of_a_run_that_ends_within_an_epoch(run: Run, overrides: list[str]) -> None:
    outcome = run(*BARE, *overrides)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.result["num_steps"] < 10
    assert outcome.result["timing"]["samples_per_second"] > 0
