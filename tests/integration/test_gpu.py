"""Training, evaluation and records on a GPU."""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnexp.core.files.atomic import read_json
from rnnexp.recurrent import RecurrentStack
from support.probing_callbacks import RecordTraining
from support.programs import NUM_TEST, Outcome, Run

pytestmark = [pytest.mark.gpu, pytest.mark.timeout(120)]

DEVICE = "cuda"
GPU = "trainer=gpu"
BARE = ["test_weights=none", "logger=none", "callbacks.predictions=null"]
RECORD = "+callbacks.probe._target_=support.probing_callbacks.RecordTraining"
CELLS = {
    "srn": ["model=srn"],
    "lstm": ["model=lstm"],
    "gru": ["model=gru"],
    "gru before": ["model=gru", "model.cell_options.reset=before"],
    "own": ["model=srn", "model.cell=support.own_cells.minimal_gated_unit", "model.cell_options={}"],
}
NAMES = {"64": torch.float64, "32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16}
PRECISIONS = ("32-true", "64-true", "bf16-true", "16-true", "bf16-mixed", "16-mixed")
APART = "ignore:RNN module weights are not part of single contiguous chunk of memory"
SKIPPED = "ignore:Detected call of `lr_scheduler.step:UserWarning"
"""The first step of 16-mixed is left out if its scale is too large."""


def require_trained(outcome: Outcome, precision: str, num_steps: int) -> None:
    """Require finite losses, weights on the GPU that have changed, and the type of the precision."""
    assert outcome.exit_code == 0, outcome.stderr
    seen = RecordTraining.seen
    assert seen["weights on"] == {DEVICE}
    assert len(seen["losses"]) == num_steps
    assert torch.tensor(seen["losses"]).isfinite().all()
    bits, kind = precision.split("-")
    assert {weight.dtype for weight in seen["after"].values()} == {torch.float32 if kind == "mixed" else NAMES[bits]}
    assert all(weight.isfinite().all() for weight in seen["after"].values())
    changed = [name for name, weight in seen["after"].items() if not torch.equal(weight, seen["before"][name])]
    assert [name for name in changed if "weight_hh" in name], changed
    assert outcome.result["precision"]["requested"] == precision
    assert outcome.result["device"]["type"] == DEVICE


@pytest.mark.filterwarnings(APART, SKIPPED)
@pytest.mark.parametrize("precision", PRECISIONS)
@pytest.mark.parametrize("cell", CELLS)
def test_every_cell_trains_in_every_precision(run: Run, cell: str, precision: str) -> None:
    # The epsilon of Adam is zero in half precision.
    optimizer = ["optimizer=sgd", "optimizer.lr=0.1"] if precision == "16-true" else ["optimizer.lr=0.05"]
    outcome = run(GPU, *BARE, RECORD, *CELLS[cell], *optimizer, f"trainer.precision={precision}")
    require_trained(outcome, precision, num_steps=10)


@pytest.mark.filterwarnings(APART, SKIPPED)
@pytest.mark.parametrize("cell", ["srn", "lstm", "gru", "own"])
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_the_recurrence_has_the_type_of_mixed_precision(run: Run, cell: str, precision: str) -> None:
    """Between two kernels are a dropout and a normalization, whose types must fit."""
    layers = ["model.num_layers=2", "model.dropout=0.2", "model.reproducible=true", "model.layer_norm=true"]
    for options in ([], layers):
        outcome = run(GPU, *BARE, RECORD, *CELLS[cell], *options, f"trainer.precision={precision}")
        require_trained(outcome, precision, num_steps=10)
        if not options and cell != "own":  # a normalization, and a product with the state, return float32
            assert outcome.result["precision"]["effective"] == precision


@pytest.mark.filterwarnings(APART, SKIPPED)
@pytest.mark.parametrize("decoder", ["fused", "stepwise"])
@pytest.mark.parametrize("precision", ["bf16-mixed", "16-mixed"])
def test_translation_trains_in_mixed_precision(
    run: Run, translate_tiny: Callable[[str], list[str]], precision: str, decoder: str
) -> None:
    small = ["task=translation", *translate_tiny("Phrasebook"), "trainer.max_epochs=1", "trainer.limit_train_batches=3"]
    mixed = [f"trainer.precision={precision}", f"task.network.decoder={decoder}", "model.num_layers=2"]
    outcome = run(GPU, *mixed, RECORD, "optimizer.lr=0.05", data=small)
    require_trained(outcome, precision, num_steps=3)
    # Tokens are on the GPU; lengths are where packing needs them.
    for batch in RecordTraining.seen["batches"]:
        assert {name for name, device in batch.items() if device == DEVICE} == {"source", "target"}
        assert {device for name, device in batch.items() if name not in ("source", "target")} == {"cpu"}
    metrics = outcome.result["metrics"]
    assert torch.tensor([metrics["val/loss"], metrics["test/loss"]]).isfinite().all()
    assert outcome.result["num_test_samples"] == outcome.result["data"]["num_test"]


def test_tf32_changes_products_only_if_it_is_on(run: Run) -> None:
    """TF32 rounds the inputs of products to 10 bits, so that one step already gives other weights."""
    weights = {}
    for tf32 in ("false", "true"):
        outcome = run(GPU, *BARE, RECORD, "model=lstm", "model.hidden_size=256", f"tf32={tf32}", "trainer.max_steps=2")
        require_trained(outcome, "32-true", num_steps=2)
        on = tf32 == "true"
        assert outcome.result["precision"]["tf32"] == {"matmul": on, "cudnn": on}
        weights[tf32] = RecordTraining.seen["after"]
    assert any(not torch.equal(weights["true"][name], weight) for name, weight in weights["false"].items())
    for name, weight in weights["false"].items():
        torch.testing.assert_close(weights["true"][name], weight, atol=2e-2, rtol=0)


SHAPES = {
    "one layer": ["model=gru"],
    "both directions": ["model=lstm", "model.bidirectional=true"],
    "two layers": ["model=srn", "model.num_layers=2"],
    "dropout": ["model=lstm", "model.num_layers=2", "model.bidirectional=true", "model.dropout=0.3"],
    "one kernel per layer": ["model=gru", "model.num_layers=2", "model.dropout=0.3", "model.reproducible=true"],
    "float16": ["model=gru", "trainer.precision=16-true", "optimizer=sgd"],
    "bfloat16": ["model=gru", "trainer.precision=bf16-true"],
}


def test_cudnn_warns_of_weights_apart() -> None:
    """The next test would otherwise pass without cuDNN."""
    stack = RecurrentStack("gru", input_size=3, hidden_size=4, backend="fused").cuda()
    x = torch.randn(5, 7, 3, device="cuda")
    stack(x)
    for parameter in stack.parameters():
        parameter.data = parameter.data.clone()
    with pytest.warns(UserWarning, match="not part of single contiguous chunk of memory"):
        stack(x)


@pytest.mark.parametrize("shape", SHAPES)
def test_weights_are_in_one_block_from_the_first_step_to_the_test(run: Run, score: Run, shape: str) -> None:
    """cuDNN warns of weights that it must copy, and a warning is an error here."""
    settings = [GPU, *SHAPES[shape], "scheduler=constant", "logger=none"]
    first = run(*settings)
    assert first.exit_code == 0, first.stderr
    again = run(*settings, "trainer.max_epochs=2", f"ckpt_path={first.directory}/checkpoints/last.ckpt")
    assert again.exit_code == 0, again.stderr
    assert again.result["num_steps"] == 20
    evaluated = score(f"run={again.directory}")
    assert evaluated.exit_code == 0, evaluated.stderr
    for outcome in (first, again, evaluated):
        assert "contiguous" not in outcome.stdout + outcome.stderr


def test_the_images_stay_on_the_gpu(run: Run) -> None:
    for device in (DEVICE, "cpu"):
        chosen = "auto" if device == DEVICE else "cpu"
        outcome = run(GPU, *BARE, RECORD, f"data.device={chosen}")
        require_trained(outcome, "32-true", num_steps=10)
        assert RecordTraining.seen["kept on"] == device
        # The model gets its batch on the GPU from both places.
        assert RecordTraining.seen["batches"] == [{"inputs": DEVICE, "labels": DEVICE}] * 10


def test_the_record_names_the_gpu_and_its_memory(run: Run) -> None:
    outcome = run(GPU, "model.hidden_size=64")
    assert outcome.exit_code == 0, outcome.stderr
    result = outcome.result
    name = torch.cuda.get_device_name()
    assert result["device"] | {"num_threads": 1} == {"type": "cuda", "name": name, "num_devices": 1, "num_threads": 1}
    assert read_json(outcome.directory / "environment.json")["device"] == result["device"]
    assert name in outcome.stdout
    # That of the GPU: PyTorch alone takes several hundred megabytes in the process.
    batch = 50 * 28 * 28 * 4
    assert batch < result["peak_memory_bytes"] <= torch.cuda.max_memory_allocated()
    assert result["num_test_samples"] == NUM_TEST


def test_gradient_flow_is_measured_on_the_gpu(run: Run) -> None:
    outcome = run(GPU, *BARE, "callbacks=gradient_flow", "model=lstm", "model.bidirectional=true")
    assert outcome.exit_code == 0, outcome.stderr
    assert (outcome.directory / "gradient_flow.csv").read_text(encoding="utf-8").count("gradient_norm") == 28


def test_translation_is_deterministic_if_asked(run: Run, translate_tiny: Callable[[str], list[str]]) -> None:
    """PyTorch raises an error for an operation that has no deterministic kernel."""
    small = ["task=translation", *translate_tiny("Phrasebook"), "trainer.max_epochs=1", "trainer.limit_train_batches=5"]
    asked = [GPU, "trainer.deterministic=true", "model.reproducible=true"]
    runs = []
    for _ in range(2):
        outcome = run(*asked, RECORD, "model.dropout=0.3", "model.num_layers=2", data=small)
        require_trained(outcome, "32-true", num_steps=5)
        runs.append((RecordTraining.seen["after"], outcome.result["metrics"]))
    (one, metrics), (other, others) = runs
    assert all(torch.equal(weight, other[name]) for name, weight in one.items())
    assert {key: others[key] for key in metrics if "per_second" not in key} == {
        key: value for key, value in metrics.items() if "per_second" not in key
    }


def of_test(metrics: dict[str, Any]) -> dict[str, float]:
    return {name: value for name, value in metrics.items() if name.startswith("test/")}


def require_same_scores(found: dict[str, Any], expected: dict[str, Any]) -> None:
    """Require the losses of the same network on another device, and its predictions but for a tie."""
    here, there = of_test(found), of_test(expected)
    assert here.keys() == there.keys()
    assert here["test/loss"] == pytest.approx(there["test/loss"], rel=1e-3)
    assert here["test/acc"] == pytest.approx(there["test/acc"], abs=1.5 / NUM_TEST)


def test_a_run_of_the_cpu_has_the_same_scores_on_the_gpu(score: Run, finished: Outcome, tmp_path: Path) -> None:
    copied = Path(shutil.copytree(finished.directory, tmp_path / "copied"))
    torch.cuda.init()
    before = torch.cuda.memory_stats()["allocation.all.allocated"]
    outcome = score(f"run={copied}")
    assert outcome.exit_code == 0, outcome.stderr
    assert torch.cuda.memory_stats()["allocation.all.allocated"] > before, "it ran on the CPU"
    (file,) = (copied / "evaluations").iterdir()
    require_same_scores(read_json(file)["metrics"], finished.result["metrics"])


def test_a_run_of_the_gpu_has_the_same_scores_on_the_cpu(run: Run) -> None:
    outcome = run(GPU, "model=lstm", "model.hidden_size=32", "optimizer.lr=0.02")
    assert outcome.exit_code == 0, outcome.stderr
    evaluated = subprocess.run(
        [sys.executable, "-m", "rnnexp.evaluate", f"run={outcome.directory}"],
        env={**os.environ, "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert evaluated.returncode == 0, evaluated.stderr
    (file,) = (outcome.directory / "evaluations").iterdir()
    require_same_scores(read_json(file)["metrics"], outcome.result["metrics"])
