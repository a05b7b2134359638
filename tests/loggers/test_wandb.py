"""W&B mirrors the run directory; without its server a run is delayed by seconds and never fails."""

import os
import shlex
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
import wandb
import yaml

from rnnexp.core.files.atomic import read_json
from rnnexp.loggers.wandb import _latest_run_id
from rnnexp.loggers.wandb_connection import choose_mode
from rnnexp.tracking.keys import short_keys
from support.programs import Run, run_directories
from support.wandb_account import without_account
from support.wandb_file import WandbRun, read_run


@dataclass
class Recorded:
    """A job with its run directory and its W&B run."""

    directory: Path
    mirror: WandbRun


@pytest.fixture(scope="module")
def done(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    """A sweep of two jobs with the default logger and no account: one job learns, the other diverges."""
    place = tmp_path_factory.mktemp("wandb")
    command = [sys.executable, "-m", "rnnexp.train", "-m", *tiny, "report=false", f"sweep_dir={place}/depth"]
    jobs = ["optimizer.lr=0.02,1e30", "scheduler=constant", "trainer.max_epochs=2", "logger=wandb", "tags=[a,b]"]
    return subprocess.run(
        [*command, *jobs], capture_output=True, text=True, check=False, cwd=place, env=without_account(place / "home")
    )


@pytest.fixture(scope="module")
def jobs(done: subprocess.CompletedProcess[str]) -> tuple[Recorded, Recorded]:
    """The finished job and the diverged job."""
    assert done.returncode == 0, done.stderr
    sweep = next(argument for argument in done.args if argument.startswith("sweep_dir=")).partition("=")[2]
    found = {read_json(path / "status.json")["status"]: path for path in run_directories(Path(sweep))}
    assert set(found) == {"done", "diverged"}
    learned, diverged = (Recorded(found[status], read_run(found[status])) for status in ("done", "diverged"))
    return learned, diverged


def test_the_mirror_holds_the_resolved_config_once_and_its_short_keys(jobs: tuple[Recorded, Recorded]) -> None:
    for job in jobs:
        config = yaml.safe_load((job.directory / "config.yaml").read_text(encoding="utf-8"))
        # A GRU layer of 8 units over 28 pixels has three gates; the head has ten classes.
        short = short_keys(
            config, "classification", ("view", "permutation"), 3 * (8 * 28 + 8 * 8 + 8 + 8) + 10 * 8 + 10
        )
        assert {key: value for key, value in job.mirror.config.items() if key != "_wandb"} == config | short
        assert job.mirror.num_runs == 1
    assert jobs[0].mirror.config["optimizer"]["lr"] == 0.02


def test_the_mirror_has_stable_names(jobs: tuple[Recorded, Recorded]) -> None:
    for job in jobs:
        mirror = job.mirror
        assert (mirror.project, mirror.group, mirror.name) == ("rnnexp", "depth", "Tiny-rows_gru_s1")
        assert mirror.tags == ["a", "b"]


def test_the_mirror_holds_the_history(jobs: tuple[Recorded, Recorded]) -> None:
    mirror = jobs[0].mirror
    losses = {row["trainer/global_step"]: row["train/loss"] for row in mirror.history if "train/loss" in row}
    assert sorted(losses) == list(range(20))
    assert losses[19] < losses[0]
    accuracies = [row["val/acc"] for row in mirror.history if "val/acc" in row]
    assert len(accuracies) == 2
    assert accuracies[-1] == pytest.approx(read_json(jobs[0].directory / "result.json")["metrics"]["val/acc"])


def test_the_mirror_holds_the_summary(jobs: tuple[Recorded, Recorded]) -> None:
    result, summary = read_json(jobs[0].directory / "result.json"), jobs[0].mirror.summary
    for key in ("model", "precision", "peak_memory_bytes"):
        assert summary[key] == result[key], key
    for name in ("test/acc", "test/loss"):
        values = [row[name] for row in jobs[0].mirror.history if name in row]
        assert values == [pytest.approx(result["metrics"][name])]


def test_the_mirror_shows_the_pictures(jobs: tuple[Recorded, Recorded]) -> None:
    shown = {name for row in jobs[0].mirror.history for name in row if name.startswith("figures/")}
    figures = ("learning_curves", "class_scores", "confusion_matrix", "confident_mistakes")
    assert shown == {f"figures/{name}" for name in figures}


def test_exit_codes_are_correct(jobs: tuple[Recorded, Recorded]) -> None:
    learned, diverged = jobs
    assert learned.mirror.exit_codes == [0]
    assert diverged.mirror.exit_codes == [4]


def test_the_log_says_why_it_is_offline_and_how_to_upload(
    done: subprocess.CompletedProcess[str], jobs: tuple[Recorded, Recorded]
) -> None:
    for job in jobs:
        log = (job.directory / "train.log").read_text(encoding="utf-8")
        assert log.count("W&B: offline, because no W&B account is set up here") == 1
        commands = [line.partition("upload this run with")[2] for line in log.splitlines() if "upload this" in line]
        assert len(commands) == 1
        *program, directory = shlex.split(commands[0])
        assert program == ["wandb", "sync"]
        assert list(Path(directory).glob("run-*.wandb"))
    assert done.stderr == ""


def test_an_unreachable_server_delays_a_run_by_seconds(tmp_path: Path) -> None:
    """The logger switches to offline mode with an account and a broken network."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]  # closed, so that connections are refused
    environment = without_account(tmp_path / "home")
    environment |= {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": f"http://127.0.0.1:{port}"}
    code = (
        "import time; from rnnexp.loggers.wandb_connection import choose_mode; import wandb\n"
        "start = time.monotonic(); print(*choose_mode('auto', 5.0), sep='|'); print(time.monotonic() - start)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment, cwd=tmp_path
    )
    decision, seconds = done.stdout.splitlines()[-2:]
    assert decision.startswith("offline|127.0.0.1 cannot be reached (")
    assert float(seconds) < 10


@pytest.mark.slow
def test_a_run_behind_a_broken_network_is_complete(tiny: list[str], tmp_path: Path) -> None:
    """The server accepts connections and never answers, which is the slowest failure."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        environment = without_account(tmp_path / "home")
        environment |= {"WANDB_API_KEY": "0" * 40, "WANDB_BASE_URL": f"http://127.0.0.1:{server.getsockname()[1]}"}
        command = [sys.executable, "-m", "rnnexp.train", *tiny, f"paths.outputs_dir={tmp_path}/outputs"]
        start = time.monotonic()
        done = subprocess.run(
            [*command, "logger=wandb"], capture_output=True, text=True, check=False, env=environment, cwd=tmp_path
        )
        seconds = time.monotonic() - start
    assert done.returncode == 0, done.stderr
    assert "W&B: offline, because" in done.stdout
    assert "upload this run with" in done.stdout
    (directory,) = run_directories(tmp_path / "outputs")
    assert read_json(directory / "status.json")["status"] == "done"
    assert "test/acc" in read_json(directory / "result.json")["metrics"]
    assert seconds < 60
    assert done.stderr == ""


@pytest.mark.parametrize("mode", ["online", "offline", "disabled"])
def test_an_explicit_mode_is_used(mode: str) -> None:
    assert choose_mode(mode, 5.0) == (mode, "")


@pytest.mark.parametrize(("old", "mode"), [("run", "online"), ("dryrun", "offline")])
def test_an_old_name_of_a_mode_means_the_new_one(monkeypatch: pytest.MonkeyPatch, old: str, mode: str) -> None:
    monkeypatch.setenv("WANDB_MODE", old)
    assert choose_mode("auto", 5.0) == (mode, f"WANDB_MODE={old}")


def test_an_id_may_have_hyphens(tmp_path: Path) -> None:
    assert _latest_run_id(tmp_path) is None
    for name in ("offline-run-20260101_000000-abcd1234", "run-20260102_000000-my-own-1"):
        (tmp_path / "wandb" / name).mkdir(parents=True)
    assert _latest_run_id(tmp_path) == "my-own-1"


def test_the_environment_variable_is_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    assert choose_mode("auto", 5.0) == ("disabled", "WANDB_MODE=disabled")
    monkeypatch.setenv("WANDB_MODE", "oflin")
    with pytest.raises(ValueError, match=r"WANDB_MODE.*did you mean 'offline'\?"):
        choose_mode("auto", 5.0)


def test_an_unknown_mode_is_refused(run: Run) -> None:
    outcome = run("logger=wandb", "logger.wandb.mode=offlin")
    assert outcome.exit_code == 2
    assert "logger: unknown W&B mode 'offlin'" in outcome.line
    assert outcome.line.endswith("did you mean 'offline'?")


def test_the_environment_is_unchanged(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_SERVICE", "")  # variables of W&B's service process, which serves all runs of this process
    monkeypatch.delenv("WANDB_SERVICE")
    before = dict(os.environ)
    outcome = run("logger=wandb", "logger.wandb.mode=offline", "test_weights=none")
    assert outcome.exit_code == 0, outcome.stderr
    assert wandb.run is None
    assert {name for name, value in os.environ.items() if before.get(name) != value} <= {"WANDB_SERVICE"}
    assert len(list(outcome.directory.rglob("run-*.wandb"))) == 1


def test_disabled_writes_nothing(run: Run) -> None:
    outcome = run("logger=wandb", "logger.wandb.mode=disabled", "test_weights=none")
    assert outcome.exit_code == 0, outcome.stderr
    assert wandb.run is None, "the next run of this process would warn of another"
    assert not (outcome.directory / "wandb").exists()
    assert (outcome.directory / "metrics.csv").is_file()


def test_translations_and_heat_maps_are_mirrored(translate_tiny: Callable[[str], list[str]], tmp_path: Path) -> None:
    small = [*translate_tiny("Phrasebook"), "trainer.max_epochs=2", "logger=wandb"]
    command = [
        sys.executable,
        "-m",
        "rnnexp.train",
        "task=translation",
        *small,
        f"paths.outputs_dir={tmp_path}/outputs",
    ]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, env=without_account(tmp_path / "home")
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    (directory,) = run_directories(tmp_path / "outputs")
    mirror = read_run(directory)
    logged = {name for row in mirror.history for name in row}
    assert {"figures/attention_1", "figures/learning_curves", "val/samples", "val/bleu", "test/bleu"} <= {
        name.split(".")[0] for name in logged
    }
    tables = sorted(directory.rglob("*.table.json"), key=lambda path: path.stat().st_size)
    assert len(tables) == 2, "one after each epoch"
    last = read_json(tables[-1])
    assert last["columns"] == ["epoch", "source", "reference", "translation"]
    assert [row[0] for row in last["data"]] == [1] * 8 + [2] * 8
