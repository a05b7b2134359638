"""An interrupted run that is continued ends with the same weights as an uninterrupted run."""

import shutil
from collections.abc import Callable
from pathlib import Path
from signal import SIGINT, SIGTERM
from typing import Any

import pytest
import torch

from support.programs import Outcome, Run

# 3 epochs of 10 steps with dropout between the layers and before the head, and two random orders.
EXPERIMENT = [
    "trainer.max_epochs=3",
    "model=lstm",
    "model.num_layers=2",
    "model.dropout=0.3",
    "task.dropout=0.2",
    "optimizer.lr=0.02",
    "callbacks.predictions=null",
    "logger=none",
]
SEND = "+callbacks.probe={_target_:support.probing_callbacks.SendSignal,step:%d,number:%d}"


def last(outcome: Outcome) -> Path:
    return outcome.directory / "checkpoints" / "last.ckpt"


def load(outcome: Outcome, name: str = "last") -> dict[str, Any]:
    checkpoint: dict[str, Any] = torch.load(outcome.directory / f"checkpoints/{name}.ckpt", weights_only=True)
    return checkpoint


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Return the places where two nested values differ in any bit."""
    if isinstance(one, dict) and isinstance(other, dict):
        keys = [f"{where}.{key}" for key in one.keys() ^ other.keys()]
        return keys + [
            d for key in one.keys() & other.keys() for d in differences(one[key], other[key], f"{where}.{key}")
        ]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [d for i, pair in enumerate(zip(one, other, strict=True)) for d in differences(*pair, f"{where}.{i}")]
    if isinstance(one, torch.Tensor) and isinstance(other, torch.Tensor):
        return [] if one.dtype == other.dtype and torch.equal(one, other) else [where]
    return [] if one == other else [where]


def require_same_end(resumed: Outcome, whole: Outcome) -> None:
    """Require equal weights, optimizer, schedule, random state, early stopping, best score and metrics."""
    here, there = load(resumed), load(whole)
    for key in ("state_dict", "optimizer_states", "lr_schedulers", "global_step", "epoch"):
        assert differences(here[key], there[key]) == [], key
    for key, state in there["callbacks"].items():
        mine = here["callbacks"][key]
        if "BestCheckpoint" in key:
            assert mine["best_model_score"] == state["best_model_score"]
        elif "LastCheckpoint" not in key and key != "Throughput":  # it has times
            assert differences(mine, state) == [], key
    assert differences(load(resumed, "best")["state_dict"], load(whole, "best")["state_dict"]) == []
    same = {name: value for name, value in whole.result["metrics"].items() if "samples_per_second" not in name}
    assert {"test/acc", "val/acc_best"} <= set(same)
    assert {name: resumed.result["metrics"].get(name) for name in same} == same


@pytest.fixture(scope="module")
def whole_runs() -> dict[str, Outcome]:
    """Uninterrupted runs by their overrides, since several tests compare with the same run."""
    return {}


@pytest.fixture
def whole(run: Run, whole_runs: dict[str, Outcome], tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Outcome]:
    def uninterrupted(*overrides: str) -> Outcome:
        key = " ".join(overrides)
        if key not in whole_runs:
            place = tmp_path_factory.mktemp("whole") / "run"
            outcome = run(*EXPERIMENT, *overrides, f"paths.output_dir={place}")
            assert outcome.exit_code == 0, outcome.stderr
            whole_runs[key] = Outcome(0, outcome.stdout, outcome.stderr, [place])
        return whole_runs[key]

    return uninterrupted


@pytest.mark.parametrize(
    ("step", "saved_after"),
    [
        pytest.param(0, 1, id="first batch of all"),
        pytest.param(4, 5, id="middle of the first epoch"),
        pytest.param(9, 10, id="last batch of the first epoch"),
        pytest.param(10, 11, id="first batch of the second epoch"),
        pytest.param(16, 17, id="middle of the second epoch"),
        pytest.param(29, 30, id="last batch of all"),
    ],
)
def test_continues_bit_for_bit(run: Run, whole: Callable[..., Outcome], step: int, saved_after: int) -> None:
    interrupted = run(*EXPERIMENT, SEND % (step, SIGTERM))
    assert interrupted.exit_code == 143
    assert interrupted.status == "interrupted"
    assert load(interrupted)["global_step"] == saved_after
    resumed = run(*EXPERIMENT, f"ckpt_path={last(interrupted)}")
    assert resumed.exit_code == 0, resumed.stderr
    assert resumed.status == "done"
    assert resumed.result["num_steps"] == 30
    assert resumed.result["resumed_from"] == str(last(interrupted))
    require_same_end(resumed, whole())


@pytest.mark.parametrize(
    ("overrides", "step", "saved_after"),
    [
        # 10 batches in groups of 3 make 4 optimizer steps an epoch; a group must not be split.
        pytest.param(["trainer.accumulate_grad_batches=3"], 5, 6, id="accumulated gradients"),
        pytest.param(["callbacks.best_checkpoint.mode=min"], 9, 10, id="at the end of the best epoch"),
        # With a limit on steps Lightning treats every checkpoint as one within an epoch.
        pytest.param(["trainer.max_steps=24"], 9, 10, id="a number of steps, at the end of an epoch"),
        pytest.param(["trainer.max_steps=24"], 14, 15, id="a number of steps, within an epoch"),
        pytest.param(["trainer.max_epochs=1"], 4, 5, id="no other epoch follows"),
        pytest.param(["trainer.val_check_interval=5"], 4, 6, id="a validation is due after the batch"),
        pytest.param(["data.batch_size=48"], 10, 11, id="a smaller last batch"),
        pytest.param(["optimizer=sgd", "scheduler=cosine", "model.zoneout=0.1"], 13, 14, id="momentum and zoneout"),
    ],
)
def test_continues_bit_for_bit_with(
    run: Run, whole: Callable[..., Outcome], overrides: list[str], step: int, saved_after: int
) -> None:
    interrupted = run(*EXPERIMENT, *overrides, SEND % (step, SIGTERM))
    assert interrupted.exit_code == 143, interrupted.stderr
    assert load(interrupted)["global_step"] == saved_after
    resumed = run(*EXPERIMENT, *overrides, f"ckpt_path={last(interrupted)}")
    assert resumed.exit_code == 0, resumed.stderr
    require_same_end(resumed, whole(*overrides))


def test_a_signal_during_validation_takes_effect_at_the_end_of_the_epoch(
    run: Run, whole: Callable[..., Outcome]
) -> None:
    interrupted = run(*EXPERIMENT, (SEND % (10, SIGINT))[:-1] + ",in_validation:true}")
    assert interrupted.exit_code == 130
    assert load(interrupted)["global_step"] == 10
    resumed = run(*EXPERIMENT, f"ckpt_path={last(interrupted)}")
    require_same_end(resumed, whole())


def test_continues_twice_although_the_runs_were_moved(run: Run, whole: Callable[..., Outcome], tmp_path: Path) -> None:
    """The best checkpoint of the first part is found beside its last one, also in another directory."""
    first = run(*EXPERIMENT, SEND % (12, SIGTERM))
    moved = tmp_path / "moved"
    shutil.move(first.directory, moved)
    second = run(*EXPERIMENT, f"ckpt_path={moved}/checkpoints/last.ckpt", SEND % (25, SIGTERM))
    assert second.exit_code == 143
    assert load(second)["global_step"] == 26
    third = run(*EXPERIMENT, f"ckpt_path={last(second)}")
    assert third.exit_code == 0, third.stderr
    require_same_end(third, whole())


def test_a_finished_run_continues_to_its_end(run: Run, whole: Callable[..., Outcome]) -> None:
    """There is nothing left to train, and the test is repeated."""
    again = run(*EXPERIMENT, f"ckpt_path={last(whole())}")
    assert again.exit_code == 0, again.stderr
    assert again.result["num_steps"] == 30
    assert again.result["metrics"]["test/acc"] == whole().result["metrics"]["test/acc"]


def test_a_run_can_be_prolonged(run: Run) -> None:
    short = [*EXPERIMENT, "scheduler=constant", "trainer.max_epochs=1"]
    first = run(*short)
    longer = run(*short, "trainer.max_epochs=3", f"ckpt_path={last(first)}")
    assert longer.exit_code == 0, longer.stderr
    assert longer.result["num_steps"] == 30


def test_a_schedule_that_has_ended_is_not_prolonged(run: Run) -> None:
    first = run(*EXPERIMENT, "trainer.max_epochs=1")
    longer = run(*EXPERIMENT, "trainer.max_epochs=3", f"ckpt_path={last(first)}")
    assert longer.exit_code == 2
    assert "planned over 10 steps, this run has 30" in longer.line
    assert "trainer.max_epochs=" in longer.line
    assert longer.status == "failed"


def test_another_random_state_gives_other_weights(run: Run, whole: Callable[..., Outcome]) -> None:
    """The comparison can fail: a run that resumes with another random state has other weights."""
    interrupted = run(*EXPERIMENT, SEND % (4, SIGTERM))
    checkpoint = load(interrupted)
    state = next(state for key, state in checkpoint["callbacks"].items() if "RandomState" in key)
    state["ranks"][0]["cpu"] = torch.Generator().manual_seed(0).get_state()
    other = last(interrupted).with_name("other.ckpt")
    torch.save(checkpoint, other)
    resumed = run(*EXPERIMENT, f"ckpt_path={other}")
    assert resumed.exit_code == 0, resumed.stderr
    assert differences(load(resumed)["state_dict"], load(whole())["state_dict"]) != []


GPU = {
    "kernel": ["model=lstm", "model.reproducible=true"],
    "reference": ["model=gru", "model.cell_options.reset=before", "model.backend=reference"],
    "batched": ["model=gru", "model.backend=batched", "model.bidirectional=true"],
    "mixed": ["model=gru", "model.reproducible=true", "trainer.precision=16-mixed"],
}


@pytest.mark.gpu
@pytest.mark.parametrize("network", GPU)
@pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step:UserWarning")
def test_continues_bit_for_bit_on_a_gpu(run: Run, network: str, tmp_path: Path) -> None:
    """Dropout draws its masks on the GPU, whose random state is in the checkpoint."""
    asked = [*EXPERIMENT, *GPU[network], "trainer=gpu", "trainer.deterministic=true"]
    whole, other = run(*asked), run(*asked)
    assert (whole.exit_code, other.exit_code) == (0, 0), whole.stderr + other.stderr
    require_same_end(other, whole)
    interrupted = run(*asked, SEND % (14, SIGTERM))
    assert interrupted.exit_code == 143, interrupted.stderr
    (state,) = load(interrupted)["callbacks"]["RandomState"]["ranks"]
    assert state["cuda"].shape == torch.cuda.get_rng_state().shape
    resumed = run(*asked, f"ckpt_path={last(interrupted)}")
    assert resumed.exit_code == 0, resumed.stderr
    require_same_end(resumed, whole)
    if network == "kernel":
        # The comparison can fail: the masks of another random state give other weights.
        checkpoint = load(interrupted)
        checkpoint["callbacks"]["RandomState"]["ranks"][0]["cuda"] = torch.Generator("cuda").manual_seed(0).get_state()
        torch.save(checkpoint, tmp_path / "other.ckpt")
        changed = run(*asked, f"ckpt_path={tmp_path}/other.ckpt")
        assert changed.exit_code == 0, changed.stderr
        assert differences(load(changed)["state_dict"], load(whole)["state_dict"]) != []
