"""`resume=<run directory>`: the same weights and records as those of an uninterrupted run, in the same directory."""

import shutil
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from rnnexp import train
from rnnexp.core.files.atomic import read_json
from rnnexp.core.validation import override
from support.continuing import SEND, differences, killed, records_of, resume, start
from support.programs import Outcome, call
from support.wandb_file import read_run

NAMES = ("train/loss", "train/lr", "train/acc", "val/", "test/")
CLASSES = [
    *("trainer.max_epochs=3", "trainer.log_every_n_steps=3", "model.num_layers=2", "model.dropout=0.3"),
    *("task.dropout=0.2", "optimizer.lr=0.02"),
]
TRANSLATIONS = ["task=translation", "trainer.max_epochs=3", "trainer.log_every_n_steps=3", "data.batch_size=16"]
AVERAGE = ["callbacks.kept_checkpoints.keep=2", "test_weights=average"]
TRANSLATION_AVERAGE = ["callbacks=[averaging,translation]", *AVERAGE]
KINDS: dict[str, list[str]] = {
    "plain": [],
    "early stopping": [
        *("trainer.max_epochs=6", "optimizer.lr=0.0", "scheduler=constant", "callbacks.early_stopping.patience=2")
    ],
    "early stopping within an epoch": [
        *("trainer.max_epochs=6", "optimizer.lr=0.0", "scheduler=constant", "callbacks.early_stopping.patience=3"),
        "trainer.val_check_interval=0.5",
    ],
    "early stopping after a minimum": [
        *("trainer.max_epochs=6", "optimizer.lr=0.0", "scheduler=constant", "callbacks.early_stopping.patience=1"),
        *("+trainer.min_steps=35", "trainer.val_check_interval=0.5"),
    ],
    "64 bits": ["model=srn", "trainer.precision=64-true"],
    "accumulation": ["trainer.accumulate_grad_batches=3"],
    "max_steps": ["trainer.max_steps=24"],
    "max_steps alone": ["trainer.max_steps=24", "trainer.max_epochs=-1"],
    "average of the best": ["callbacks=averaging", *AVERAGE],
    "gradient flow": ["callbacks=gradient_flow"],
    "several validations": ["trainer.val_check_interval=0.5"],
    "validations across epochs": ["trainer.check_val_every_n_epoch=null", "trainer.val_check_interval=7"],
    "few validations": ["trainer.max_epochs=4", "trainer.check_val_every_n_epoch=2"],
    "no validation": [
        *("data.val_size=0", "callbacks.early_stopping=null", "callbacks.best_checkpoint=null", "test_weights=last")
    ],
}
TRANSLATION_KINDS: dict[str, list[str]] = {
    "translation, average of the last": [*TRANSLATION_AVERAGE, "callbacks.kept_checkpoints.monitor=null"],
    "translation, average of the best": TRANSLATION_AVERAGE,
    "scheduled sampling": ["task.network.decoder=stepwise", "task.teacher_forcing=0.5"],
    "translation, max_steps": ["trainer.max_steps=17"],
}


class Straight:
    """Uninterrupted runs by kind, since many tests compare with the same run."""

    def __init__(self, place: Path, classes: list[str], translations: list[str]) -> None:
        self.place, self.classes, self.translations = place, classes, translations
        self.records: dict[str, dict[str, Any]] = {}

    def overrides(self, kind: str) -> list[str]:
        if kind in KINDS:
            return [*self.classes, *CLASSES, *KINDS[kind]]
        return [*TRANSLATIONS, *self.translations, *TRANSLATION_KINDS[kind]]

    def records_of(self, kind: str) -> dict[str, Any]:
        if kind not in self.records:
            run = start(self.place, kind.replace(", ", "_").replace(" ", "_"), self.overrides(kind))
            assert run.exit_code == 0, run.stderr
            self.records[kind] = records_of(run.directory)
        return self.records[kind]


@pytest.fixture(scope="module")
def straight(
    tiny: list[str], translate_tiny: Callable[[str], list[str]], tmp_path_factory: pytest.TempPathFactory
) -> Straight:
    return Straight(tmp_path_factory.mktemp("straight"), tiny, translate_tiny("ParallelFiles"))


def require_same(run: Path, resumed: Outcome, straight: dict[str, Any]) -> None:
    assert resumed.exit_code == 0, resumed.stderr
    assert differences(records_of(run), straight) == []


SAMPLE = [
    ("plain", 4, "false"),
    ("plain", 20, "true"),
    ("early stopping", 30, "true"),
    ("early stopping after a minimum", 32, "false"),
    ("64 bits", 13, "false"),
    ("max_steps", 23, "false"),
    ("validations across epochs", 13, "false"),
    ("average of the best", 6, "false"),
    ("translation, average of the best", 6, "false"),
    ("translation, average of the last", 14, "true"),
]


def continues(straight: Straight, place: Path, kind: str, step: int, in_validation: str = "false") -> None:
    stopped = start(place, "run", straight.overrides(kind), SEND % (step, signal.SIGTERM, in_validation))
    assert stopped.exit_code == 143, stopped.stderr + stopped.stdout
    assert f"resume={stopped.directory}" in stopped.line
    require_same(stopped.directory, resume(stopped.directory), straight.records_of(kind))


@pytest.mark.parametrize(("kind", "step", "in_validation"), SAMPLE)
def test_continues_bit_for_bit(straight: Straight, tmp_path: Path, kind: str, step: int, in_validation: str) -> None:
    continues(straight, tmp_path, kind, step, in_validation)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, *TRANSLATION_KINDS])
def test_continues_bit_for_bit_from_every_step(straight: Straight, tmp_path: Path, kind: str) -> None:
    accumulated = 3 if kind == "accumulation" else 1
    for step in range(0, straight.records_of(kind)["num_steps"], accumulated):
        continues(straight, tmp_path / str(step), kind, step)


@pytest.mark.slow
@pytest.mark.parametrize("kind", [*KINDS, *TRANSLATION_KINDS])
def test_continues_bit_for_bit_after_a_kill(straight: Straight, tmp_path: Path, kind: str) -> None:
    num_steps = straight.records_of(kind)["num_steps"]
    for step in range(1, num_steps, 4):
        place = tmp_path / str(step)
        fault = SEND % (step, signal.SIGKILL, "false")
        killed(lambda place=place, fault=fault: start(place, "run", straight.overrides(kind), fault))
        require_same(place / "run", resume(place / "run"), straight.records_of(kind))


def test_a_run_that_ended_between_training_and_test_has_the_times_of_training(
    straight: Straight, tmp_path: Path
) -> None:
    records = straight.records_of("plain")
    run = shutil.copytree(straight.place / "plain", tmp_path / "run")
    before = read_json(run / "result.json")["timing"]
    (run / "result.json").unlink()
    # Damaged answers are written again in this way.
    answers = run / "test_predictions.pt"
    content = torch.load(answers, weights_only=True)
    answers.write_bytes(answers.read_bytes()[:100])
    require_same(run, resume(run), records)
    assert differences(torch.load(answers, weights_only=True), content) == []
    after = read_json(run / "result.json")["timing"]
    for key in ("first_step_seconds", "samples_per_second"):
        assert after[key] == before[key] > 0
    assert after["fit_seconds"] > before["fit_seconds"] / 2
    assert after["total_seconds"] - after["fit_seconds"] > after["setup_seconds"], "both have the time before"


def test_continues_twice_in_a_directory_that_was_moved(straight: Straight, tmp_path: Path) -> None:
    """Files of the moved run are read and written, and none at the place where it began."""
    stopped = start(tmp_path, "first", straight.overrides("plain"), SEND % (12, signal.SIGHUP, "false"))
    assert stopped.exit_code == 129
    again = tmp_path / 'it\'s {a} "strange" [place], é=${x} \\'
    shutil.move(stopped.directory, again)
    second = resume(again, SEND % (25, signal.SIGUSR1, "false"))
    assert second.exit_code == 138, second.stderr
    resumed = resume(again, figures=True)
    assert {path.stem for path in (again / "figures").iterdir()} > {"learning_curves", "confusion_matrix"}
    shutil.rmtree(again / "figures")
    require_same(again, resumed, straight.records_of("plain"))
    assert not stopped.directory.exists()


def test_a_damaged_checkpoint_is_replaced_by_its_predecessor(straight: Straight, tmp_path: Path) -> None:
    stopped = start(tmp_path, "run", straight.overrides("plain"), SEND % (24, signal.SIGTERM, "false"))
    last = stopped.directory / "checkpoints" / "last.ckpt"
    last.write_bytes(last.read_bytes()[:-100])
    resumed = resume(stopped.directory)
    assert "last.ckpt is damaged" in resumed.stdout
    aside = last.with_name("last.ckpt.damaged")
    assert aside.exists()
    aside.unlink()
    require_same(stopped.directory, resumed, straight.records_of("plain"))


def test_begins_anew_without_a_checkpoint(straight: Straight, tmp_path: Path) -> None:
    stopped = start(tmp_path, "run", straight.overrides("plain"), SEND % (4, signal.SIGTERM, "false"))
    shutil.rmtree(stopped.directory / "checkpoints")
    require_same(stopped.directory, resume(stopped.directory), straight.records_of("plain"))


def test_a_run_that_is_done_has_nothing_to_continue(finished: Outcome) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.directory.rglob("*")}
    again = call(train.main, finished.directory.parent, [override("resume", finished.directory)])
    assert again.exit_code == 0
    assert f"{finished.directory} is done" in again.stdout
    refused = resume(finished.directory, "tags=[second]")
    assert refused.exit_code == 2
    assert "tags=[second] cannot take effect" in refused.line
    assert {path: path.stat().st_mtime_ns for path in finished.directory.rglob("*")} == before


@pytest.mark.parametrize(
    "override",
    ["model=lstm", "model.hidden_size=16", "seed=2", "trainer.max_epochs=9", "ckpt_path=x", "debug=fast", "~optimizer"],
)
def test_what_would_change_the_results_is_refused(straight: Straight, tmp_path: Path, override: str) -> None:
    stopped = start(tmp_path, "run", straight.overrides("plain"), SEND % (4, signal.SIGTERM, "false"))
    config = stopped.directory / "config.yaml"
    before = config.read_bytes()
    refused = resume(stopped.directory, override)
    assert refused.exit_code == 2
    assert override in refused.line
    assert config.read_bytes() == before
    assert read_json(stopped.directory / "status.json")["status"] == "interrupted"


def test_what_does_not_change_the_results_can_change(straight: Straight, tmp_path: Path) -> None:
    stopped = start(tmp_path, "run", straight.overrides("plain"), SEND % (4, signal.SIGTERM, "false"))
    resumed = resume(stopped.directory, "tags=[second]", "callbacks.progress.every_n_seconds=1", "logger=none")
    assert resumed.exit_code == 0, resumed.stderr
    assert read_json(stopped.directory / "result.json")["tags"] == ["second"]


def test_no_such_run(tmp_path: Path) -> None:
    refused = resume(tmp_path / "nowhere")
    assert refused.exit_code == 2
    assert "nowhere is not a directory" in refused.line


def test_a_multirun_of_resumes_is_refused(finished: Outcome, tmp_path: Path) -> None:
    refused = resume(finished.directory, f"sweep_dir={tmp_path}/sweep", "-m")
    assert refused.exit_code == 2
    assert "leave out -m" in refused.line


def test_the_wandb_run_continues_without_a_gap(straight: Straight, tmp_path: Path) -> None:
    """Offline, where a second part under the same id replaces the first when it is uploaded: it has all rows."""
    offline = ["logger=wandb", "logger.wandb.mode=offline"]
    stopped = start(tmp_path, "run", [*straight.overrides("plain"), *offline], SEND % (14, signal.SIGTERM, "false"))
    assert stopped.exit_code == 143, stopped.stderr
    (first,) = stopped.directory.glob("wandb/offline-run-*")
    assert resume(stopped.directory).exit_code == 0
    (second,) = set(stopped.directory.glob("wandb/offline-run-*")) - {first}
    assert second.name.rpartition("-")[2] == first.name.rpartition("-")[2]
    history = [row for row in read_run(second).history if "trainer/global_step" in row]
    logged = sorted((row["trainer/global_step"], name) for row in history for name in row if name.startswith(NAMES))
    expected = [(step, name) for step, name, _ in straight.records_of("plain")["metrics.csv"] if name.startswith(NAMES)]
    assert logged == sorted(expected)
