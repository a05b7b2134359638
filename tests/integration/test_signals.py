"""Ctrl-C and SIGTERM at any time: checkpoint, status, message and exit code."""

import gzip
import os
import shlex
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch

from rnnexp import train
from rnnexp.core.files.atomic import read_json
from rnnexp.runs import build
from support import ROOT
from support.mirror import serving
from support.programs import Run, call, run_directories
from support.sweeps import wait_for

SEND = "+callbacks.probe={_target_:support.probing_callbacks.SendSignal,step:%d,number:%d,times:%d}"


def start(tiny: list[str], outputs: Path, *overrides: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "rnnexp.train", *tiny, f"paths.outputs_dir={outputs}", *overrides]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def wait_for_checkpoint(process: subprocess.Popen[str], outputs: Path) -> None:
    deadline = time.monotonic() + 240
    while not list(outputs.rglob("last.ckpt")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, "no checkpoint within four minutes"
        time.sleep(0.05)


@pytest.mark.parametrize("number", [signal.SIGINT, pytest.param(signal.SIGTERM, marks=pytest.mark.slow)])
def test_a_signal_saves_a_checkpoint_and_prints_how_to_continue(
    tiny: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    process = start(tiny, tmp_path, "trainer.max_epochs=100000", "callbacks.early_stopping=null")
    wait_for_checkpoint(process, tmp_path)
    (directory,) = run_directories(tmp_path)
    refused = call(train.main, tmp_path, [f"resume={directory}"])
    assert refused.exit_code == 2
    assert f"{directory} is running" in refused.line
    process.send_signal(number)
    stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 128 + number, stderr
    last = directory / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] > 0
    status = read_json(directory / "status.json")
    assert status["status"] == read_json(directory / "result.json")["status"] == "interrupted"
    assert f"{number.name} received: saving at the next batch boundary" in stdout
    (line,) = stderr.splitlines()
    assert line.startswith(f"rnnexp: interrupted by {number.name} in epoch ")
    assert line.endswith(f"; continue with python -m rnnexp.train resume={directory}")
    assert status["reason"] in line


def test_a_second_ctrl_c_stops_at_once(run: Run) -> None:
    outcome = run(SEND % (13, signal.SIGINT, 2), "trainer.max_epochs=2")
    assert outcome.exit_code == 130
    assert outcome.status == "interrupted"
    assert outcome.line.startswith("rnnexp: interrupted by SIGINT; continue with ")
    last = outcome.directory / "checkpoints" / "last.ckpt"
    assert torch.load(last, weights_only=True)["global_step"] == 10, "saved at the end of the first epoch"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_without_the_callback_nothing_is_saved_but_the_status_is_correct(run: Run, number: signal.Signals) -> None:
    outcome = run(SEND % (3, number, 1), "callbacks.interruption=null")
    assert outcome.exit_code == 128 + number
    assert outcome.status == "interrupted"
    assert not list(outcome.directory.rglob("last.ckpt"))


@pytest.mark.parametrize("overrides", [["optimizer.lr=1e30", "scheduler=constant"], []], ids=["error", "done"])
def test_handlers_are_restored(run: Run, overrides: list[str]) -> None:
    before = signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)
    run(*overrides)
    assert (signal.getsignal(signal.SIGINT), signal.getsignal(signal.SIGTERM)) == before


@pytest.mark.parametrize("number", [signal.SIGQUIT, signal.SIGXCPU, signal.SIGRTMIN + 1])
def test_every_signal_saves(run: Run, number: int) -> None:
    outcome = run(SEND % (3, number, 1), "test_weights=none")
    assert outcome.exit_code == 128 + number
    assert outcome.status == "interrupted"
    assert torch.load(outcome.directory / "checkpoints" / "last.ckpt", weights_only=True)["global_step"] == 4


def test_a_run_under_nohup_goes_on_when_its_terminal_closes(tiny: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-m", "rnnexp.train", *tiny, f"paths.outputs_dir={tmp_path}", "test_weights=none"]
    ignoring = ["sh", "-c", "trap '' HUP; exec \"$@\"", "sh", *command, SEND % (3, signal.SIGHUP, 1)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / "tests")}
    done = subprocess.run(ignoring, capture_output=True, text=True, check=False, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    (directory,) = run_directories(tmp_path)
    assert read_json(directory / "status.json")["status"] == "done"


@pytest.mark.parametrize(("place", "number"), [("make_datamodule", signal.SIGHUP), ("make_trainer", signal.SIGUSR2)])
def test_a_signal_outside_of_training_is_recorded(
    run: Run, monkeypatch: pytest.MonkeyPatch, place: str, number: signal.Signals
) -> None:
    def interrupted(*_: object, **__: object) -> None:
        os.kill(os.getpid(), number)
        time.sleep(5)

    monkeypatch.setattr(build, place, interrupted)
    outcome = run()
    assert outcome.exit_code == 128 + number
    assert outcome.status == "interrupted"
    assert outcome.line.startswith(f"rnnexp: interrupted by {number.name} outside training; continue with ")


@pytest.mark.parametrize("number", [pytest.param(signal.SIGINT, marks=pytest.mark.slow), signal.SIGTERM])
def test_a_signal_during_a_download_leaves_no_file_and_its_command_fetches_again(
    run: Run, tiny_root: Path, tmp_path: Path, number: signal.Signals
) -> None:
    files = {f"{path.name}.gz": gzip.compress(path.read_bytes()) for path in (tiny_root / "Tiny" / "raw").iterdir()}
    with serving(files) as mirror:
        asked = [f"data.root={tmp_path}/root", "data.download_from=[mirrors]", f"data.mirrors=[{mirror.url('stall')}]"]

        def interrupt() -> None:
            wait_for(lambda: mirror.asked)
            time.sleep(0.2)
            os.kill(os.getpid(), number)

        threading.Thread(target=interrupt).start()
        outcome = run(*asked, "trainer.max_steps=2", "test_weights=none")
        assert outcome.exit_code == 128 + number
        assert outcome.status == "interrupted"
        assert not list((tmp_path / "root").rglob("*ubyte*"))
        mirror.stall_is_over.set()
        command = shlex.split(outcome.line.rpartition("continue with ")[2])
        again = call(train.main, tmp_path, command[3:])
    assert again.exit_code == 0, again.stderr
    assert len(list((tmp_path / "root").rglob("*ubyte*"))) == len(files)
