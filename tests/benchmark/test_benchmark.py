"""The benchmark measures contenders that do the same work, in turns, and says what it found."""

import math
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any

import pytest
from lightning.pytorch import Callback, LightningModule, Trainer
from torch import nn, ones
from torch.utils.data import DataLoader

from rnnexp.benchmark import __main__ as benchmark
from rnnexp.benchmark.measurement import StepClock, compare, take_turns
from rnnexp.core.atomic_files import read_json
from support.programs import Outcome, call

Measure = Callable[..., Outcome]
SMALL = ["cells=[lstm]", "steps=4", "warmup_steps=1", "repetitions=2", "start_up=false"]


@pytest.fixture
def measure(tiny: list[str], tmp_path: Path) -> Measure:
    """Runs a small benchmark with further overrides."""
    everywhere = [*tiny, *SMALL, f"paths.outputs_dir={tmp_path}/outputs"]
    return lambda *overrides: call(benchmark.main, tmp_path, [*everywhere, *overrides])


def written(tmp_path: Path) -> dict[str, Any]:
    (path,) = (tmp_path / "outputs" / "benchmark").iterdir()
    assert path.suffix == ".json"
    return read_json(path)


def test_every_contender_trains_in_every_round_and_leaves_only_the_report(measure: Measure, tmp_path: Path) -> None:
    outcome = measure("cells=[srn,lstm,gru]")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.directories == []
    report = written(tmp_path)
    assert [cell["cell"] for cell in report["training"]] == ["srn", "lstm", "gru"]
    assert [cell["target"] for cell in report["training"]] == [0.93, 0.97, 0.97]
    for cell in report["training"]:
        speeds = cell["steps_per_second"]
        assert list(speeds) == ["ours", "bare loop", "usual, 0 workers"]
        assert all(len(rounds) == 2 and min(rounds) > 0 for rounds in speeds.values())
        ratios = [ours / bare for ours, bare in zip(speeds["ours"], speeds["bare loop"], strict=True)]
        assert cell["ours_over"]["bare loop"]["median"] == pytest.approx(median(ratios))
        losses = cell["final_loss"]
        assert losses["ours"] == pytest.approx(losses["bare loop"], rel=1e-5), "they did not do the same work"
        assert math.isfinite(losses["usual, 0 workers"])
        for name, speed in speeds.items():
            assert name in outcome.stdout
            assert f"{median(speed):.2f}" in outcome.stdout
    assert report["environment"]["device"]["num_threads"] == 1
    assert report["environment"]["packages"]["torch"]
    assert "steps=4" in report["overrides"]
    assert report["start_up"] is None


def test_the_loss_depends_on_every_step(measure: Measure, tmp_path: Path) -> None:
    """Otherwise equal losses would prove nothing."""
    losses = set()
    for steps in (3, 4):
        place = tmp_path / str(steps)
        assert measure(f"steps={steps}", "workers=[]", f"paths.outputs_dir={place}/outputs").exit_code == 0
        losses.add(round(written(place)["training"][0]["final_loss"]["ours"], 5))
    assert len(losses) == 2


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("cells=[lsmt]", "unknown cell 'lsmt': choose one of srn, lstm, gru; did you mean 'lstm'?"),
        ("steps=0", "steps must be a whole number of at least 1, not 0"),
        ("repetitions=-1", "repetitions must be a whole number of at least 1, not -1"),
        ("steps=9", "need 11 batches, but an epoch has 10 of data.batch_size=50: choose fewer steps"),
        ("trainer.precision=bf16-mixed", "trainer.precision=bf16-mixed: the bare loop knows trainer.precision=32-true"),
        ("model.layer_norm=true", "model.layer_norm=True: the bare loop knows model.layer_norm=False only"),
    ],
)
def test_what_cannot_be_compared_is_told_in_one_line(measure: Measure, override: str, message: str) -> None:
    outcome = measure(override)
    assert outcome.exit_code == 2
    assert message in outcome.line


def test_contenders_take_turns() -> None:
    order: list[str] = []

    def contender(name: str) -> Callable[[], int]:
        return lambda: order.append(name) or len(order)  # type: ignore[func-returns-value]

    assert take_turns({"a": contender("a"), "b": contender("b")}, 3) == {"a": [1, 3, 5], "b": [2, 4, 6]}
    assert order == ["a", "b"] * 3


def test_a_ratio_is_taken_within_rounds() -> None:
    # The machine was ten times slower in the last two rounds: the ratio of medians would be 3.
    assert compare([2, 20, 30], [1, 10, 10]) == {"median": 2, "lowest": 2, "highest": 3}


class Slow(Callback):
    """Takes 5 ms after every step."""

    def on_train_batch_end(self, *_: Any) -> None:
        time.sleep(0.005)


class Regression(LightningModule):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(1, 1)

    def training_step(self, batch: Any) -> Any:
        return self.layer(batch).sum()

    def configure_optimizers(self) -> Any:
        from torch.optim import SGD

        return SGD(self.parameters(), lr=0.0)


@pytest.mark.filterwarnings("ignore:The 'train_dataloader' does not have many workers")
def test_the_clock_counts_what_callbacks_take(tmp_path: Path) -> None:
    clock = StepClock(warmup_steps=2, steps=6)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        callbacks=[Slow(), clock],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        default_root_dir=tmp_path,
    )
    trainer.fit(Regression(), DataLoader(ones(9, 1)))  # type: ignore[arg-type]
    assert clock.block.seconds >= 6 * 0.005
    assert math.isfinite(clock.block.final_loss)


@pytest.mark.slow
def test_start_up_is_measured_on_the_real_programs(measure: Measure, tmp_path: Path) -> None:
    outcome = measure("start_up=true", "repetitions=1", "workers=[]")
    assert outcome.exit_code == 0, outcome.stderr
    start_up = written(tmp_path)["start_up"]
    names = {"import torch, lightning", "first step, CSV", "first step, CSV and W&B", "train --help", "train --cfg job"}
    assert set(start_up["seconds"]) == names
    for name, (seconds,) in start_up["seconds"].items():
        assert seconds > 0
        assert start_up["median_seconds"][name] == seconds
        assert start_up["over_imports"][name]["median"] == seconds / start_up["seconds"]["import torch, lightning"][0]
    assert start_up["target"] == 1.3


@pytest.mark.slow
def test_a_sweep_is_measured_under_both_launchers(measure: Measure, tmp_path: Path) -> None:
    outcome = measure("cells=[]", "sweep_jobs=2", "repetitions=1")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.directories == []
    sweep = written(tmp_path)["sweep"]
    assert sweep["jobs"] == 2
    ((pool,), (basic,)) = sweep["seconds"].values()
    assert sweep["basic_over_pool"]["median"] == pytest.approx(basic / pool)
    assert 0 < sweep["first_step_seconds"]["median"] <= sweep["first_step_seconds"]["highest"] < pool
    assert "basic / pool" in outcome.stdout
