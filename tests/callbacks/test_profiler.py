"""The time of each part of a training step."""

import time

import pytest

from rnnexp.callbacks.profiler import EPOCH, REST, STEP, PartProfiler
from support.programs import Run

OPTIMIZER, FORWARD = "[LightningModule]Task.optimizer_step", "[Strategy]SingleDeviceStrategy.training_step"


def test_an_action_within_another_counts_only_for_its_own_part() -> None:
    profiler = PartProfiler()
    begin = time.perf_counter()
    with profiler.profile("[Callback]Early.setup"):
        pass
    started = time.perf_counter()
    with profiler.profile(EPOCH), profiler.profile(STEP):
        with profiler.profile(OPTIMIZER):
            with profiler.profile(FORWARD):
                time.sleep(0.02)
            time.sleep(0.01)
        with profiler.profile("[Callback]Mine.on_train_batch_end"):
            time.sleep(0.005)
    ended = time.perf_counter()
    assert set(profiler.seconds) == {"forward and loss", "optimizer, clipping and schedule", "callbacks", REST}
    assert profiler.seconds["forward and loss"] >= 0.02
    assert profiler.seconds["optimizer, clipping and schedule"] >= 0.01
    assert sum(profiler.seconds.values()) <= ended - started < ended - begin
    assert profiler.num_steps == 1


@pytest.mark.parametrize(
    ("action", "part"),
    [
        ("[_TrainingEpochLoop].train_dataloader_next", "data"),
        ("[Strategy]DDPStrategy.batch_to_device", "data"),
        ("[Strategy]DDPStrategy.backward", "backward"),
        ("[Callback]Mine.on_before_backward", "callbacks"),
        ("[LightningModule]Task.configure_gradient_clipping", "optimizer, clipping and schedule"),
        ("[Strategy]DDPStrategy.validation_step", "validation"),
        ("[Callback]BestCheckpoint{'monitor': 'val/acc', 'every_n_train_steps': 0}.on_train_batch_end", "callbacks"),
        ("[LightningModule]Task.on_train_batch_start", "hooks of the task"),
        ("something_new", REST),
    ],
)
def test_parts(action: str, part: str) -> None:
    profiler = PartProfiler()
    with profiler.profile(EPOCH), profiler.profile(action):
        time.sleep(0.002)
    assert profiler.seconds[part] >= 0.002


def test_the_table_of_a_run(run: Run) -> None:
    outcome = run("debug=profiler", "logger=csv")
    assert outcome.exit_code == 0, outcome.stderr
    title, _, _, *rows, total = (outcome.directory / "fit-profile.txt").read_text(encoding="utf-8").strip().split("\n")
    assert title == f"{outcome.result['num_steps']} training steps"
    shares = {row[:34].strip(): float(row.split()[-1].removesuffix("%")) for row in rows}
    assert {"data", "forward and loss", "backward", "optimizer, clipping and schedule", "callbacks"} <= set(shares)
    assert sum(shares.values()) == pytest.approx(100, abs=1)
    assert total.startswith("sum")
    assert not (outcome.directory / "test-profile.txt").exists()
