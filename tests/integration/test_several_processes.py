"""Several processes train one model: there is one record, and every sample is used once."""

import csv
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from rnnexp.core.files.atomic import read_json
from support.programs import NUM_TEST, run_directories

pytestmark = pytest.mark.slow

TESTS = Path(__file__).parents[1]
TWO = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"]


def command(tiny: list[str], place: Path, *overrides: str) -> list[str]:
    return [sys.executable, "-m", "rnnexp.train", *tiny, *TWO, f"paths.outputs_dir={place}/outputs", *overrides]


def test_two_processes_make_one_run(tiny: list[str], tmp_path: Path) -> None:
    learning = ["trainer.max_epochs=3", "model.hidden_size=32", "optimizer.lr=0.02", "data.batch_size=25"]
    done = subprocess.run(command(tiny, tmp_path, *learning), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (directory,) = run_directories(tmp_path)
    result = read_json(directory / "result.json")
    assert result["status"] == "done"
    assert result["device"]["num_devices"] == 2
    assert result["num_test_samples"] == NUM_TEST
    assert result["num_steps"] == 30, "two batches of 25 make a step"
    assert result["metrics"]["test/acc"] > 0.9
    assert done.stdout.count("run directory: ") == 1
    predictions = torch.load(directory / "test_predictions.pt", weights_only=True)
    assert len(predictions["labels"]) == NUM_TEST


def test_two_processes_translate_every_sentence_once(
    translate_tiny: Callable[[str], list[str]], tmp_path: Path
) -> None:
    """Validation scores cover all sentences, of which each process translates a part."""
    small = [
        "task=translation",
        *translate_tiny("Phrasebook"),
        "trainer.max_epochs=2",
        "data.eval_batch_size=7",
        # All sentences are compared, so that a missing or repeated one is found.
        "callbacks.samples.num_sentences=1000",
    ]
    done = subprocess.run(command(small, tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (directory,) = run_directories(tmp_path)
    result = read_json(directory / "result.json")
    assert result["num_test_samples"] == result["data"]["num_test"]
    with (directory / "samples.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    for epoch in ("1", "2"):
        sources = [row["source"] for row in rows if row["epoch"] == epoch]
        assert len(sources) == len(set(sources)) == result["data"]["num_val"]


def test_bad_input_is_one_line_of_one_process(tiny: list[str], tmp_path: Path) -> None:
    done = subprocess.run(
        command(tiny, tmp_path, "data.name=Tinny"), capture_output=True, text=True, check=False, timeout=120
    )
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert "of the dataset 'Tinny'" in line
    (directory,) = run_directories(tmp_path)
    assert read_json(directory / "status.json")["status"] == "failed"


def test_a_split_with_fewer_samples_than_processes_is_one_line(tiny: list[str], tmp_path: Path) -> None:
    done = subprocess.run(command(tiny, tmp_path, "data.val_size=1"), capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "the validation split has 1 samples, too few for 2 processes: use fewer devices" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("rank", [0, 1])
def test_a_loss_that_is_nan_in_one_process_ends_the_run_as_diverged(
    tiny: list[str], tmp_path: Path, rank: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    probe = [f"+callbacks.probe={{_target_: support.probing_callbacks.SpoilInputs, step: 2, rank: {rank}}}"]
    options = [*probe, "callbacks.divergence.every_n_steps=3"]
    done = subprocess.run(command(tiny, tmp_path, *options), capture_output=True, text=True, check=False)
    assert done.returncode == 4, done.stderr
    (directory,) = run_directories(tmp_path)
    assert read_json(directory / "status.json")["status"] == "diverged"
    assert "the loss became NaN or infinite within the 3 steps before step 3" in done.stderr


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_run_that_is_stopped_before_its_processes_begin_is_interrupted(
    tiny: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    process = subprocess.Popen(command(tiny, tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    # The log is opened when the second process starts, and imports take seconds in every process.
    while not list(tmp_path.rglob("rank-1.log")) and time.monotonic() < deadline:
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(number)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 128 + number, stderr
    (directory,) = run_directories(tmp_path)
    status = read_json(directory / "status.json")
    assert status["status"] == "interrupted"
    assert status["reason"].startswith(f"interrupted by {number.name} outside training; continue with ")
    assert status["reason"] in stderr


@pytest.mark.parametrize("task", ["classification", "translation"])
def test_an_interrupted_run_continues_bit_for_bit(
    tiny: list[str], translate_tiny: Callable[[str], list[str]], tmp_path: Path, task: str
) -> None:
    """Sentences have other lengths in each process, so that the random states of the processes differ."""
    given = tiny if task == "classification" else ["task=translation", *translate_tiny("Phrasebook")]
    endless = ["trainer.max_epochs=100000", "callbacks.early_stopping=null", "scheduler=constant", "model.dropout=0.3"]
    process = subprocess.Popen(
        command(given, tmp_path / "first", *endless), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob("last.ckpt")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, stderr = process.communicate(timeout=60)
    assert process.returncode == 143, stderr
    (first,) = run_directories(tmp_path / "first")
    assert read_json(first / "status.json")["status"] == "interrupted"
    saved = torch.load(first / "checkpoints/last.ckpt", weights_only=True)
    steps = saved["global_step"] + 7
    whole = [f"trainer.max_steps={steps}", *endless]
    weights = []
    for name, start in {"resumed": [f"ckpt_path={first}/checkpoints/last.ckpt"], "whole": []}.items():
        done = subprocess.run(
            command(given, tmp_path / name, *whole, *start), capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        (directory,) = run_directories(tmp_path / name)
        assert read_json(directory / "result.json")["num_steps"] == steps
        weights.append(torch.load(directory / "checkpoints/last.ckpt", weights_only=True)["state_dict"])
    assert all(torch.equal(weights[0][name], weights[1][name]) for name in weights[0] if name.startswith("model."))


@pytest.mark.parametrize(("number", "reason"), [(signal.SIGKILL, "was killed by SIGKILL"), (signal.SIGSTOP, "stopped")])
def test_a_rank_that_ends_or_stops_ends_the_run_in_one_line(
    tiny: list[str], tmp_path: Path, number: signal.Signals, reason: str
) -> None:
    endless = ["trainer.max_epochs=100000", "callbacks.early_stopping=null", "scheduler=constant"]
    process = subprocess.Popen(
        command(tiny, tmp_path, *endless), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 120
    while not list(tmp_path.rglob("last.ckpt")) and time.monotonic() < deadline:
        assert process.poll() is None, process.communicate()
        time.sleep(0.1)
    children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text(encoding="utf-8").split()
    assert len(children) == 2
    start = time.monotonic()
    os.kill(int(children[1]), number)
    _, stderr = process.communicate(timeout=90)
    assert time.monotonic() - start < 60
    assert process.returncode == 1
    (line,) = stderr.splitlines()
    assert line.startswith("rnnexp: rank 1 ")
    assert reason in line
    (directory,) = run_directories(tmp_path)
    assert f"resume={directory}" in line
    assert read_json(directory / "status.json")["status"] == "failed"
    assert not any(Path(f"/proc/{child}").exists() for child in children)
