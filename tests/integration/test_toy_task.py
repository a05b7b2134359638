"""A task from outside the package works in every program: train, resume, evaluate, sweep and report."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
import torch

from rnnexp.benchmark import __main__ as benchmark
from rnnexp.core.files.atomic import read_json
from support import TESTS
from support.programs import Outcome, Run, call

WAVES = [
    *("--config-dir", str(TESTS / "support" / "toy_conf"), "task=waves", "trainer=cpu", "logger=csv"),
    *("model.hidden_size=8", "model.num_layers=1", "trainer.max_epochs=3", "trainer.log_every_n_steps=1"),
]


@pytest.fixture(scope="module")
def waves(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    from rnnexp import train

    place = tmp_path_factory.mktemp("waves")
    outcome = call(train.main, place, [*WAVES, f"paths.outputs_dir={place}/outputs"], figures=True)
    assert outcome.exit_code == 0, outcome.stderr
    return outcome


def test_it_is_trained_and_recorded(waves: Outcome) -> None:
    result = waves.result
    assert waves.status == "done"
    assert result["task"] == "waves"
    assert [measure["name"] for measure in result["task_kind"]["measures"]] == ["test/mae", "test/loss"]
    assert result["task_kind"]["dataset_keys"] == ["phase"]
    assert {"test/mae", "test/loss", "val/mae_best"} <= set(result["metrics"])
    assert result["num_test_samples"] == 30
    assert result["timing"]["samples_per_second"] > 0
    assert result["timing"]["tokens_per_second"] is None
    figures = {path.name for path in (waves.directory / "figures").iterdir()}
    assert figures == {"learning_curves.png", "predicted.png"}
    assert set(torch.load(waves.directory / "test_predictions.pt", weights_only=True)) == {"targets", "predicted"}


def test_it_is_resumed(run: Run, waves: Outcome) -> None:
    stop = "+callbacks.stop._target_=support.probing_callbacks.StopAfterEpoch"
    stopped = run(stop, "test_weights=none", data=WAVES)
    assert stopped.exit_code == 0, stopped.stderr
    resumed = run(f"ckpt_path={stopped.directory}/checkpoints/last.ckpt", data=WAVES)
    assert resumed.exit_code == 0, resumed.stderr
    assert resumed.result["num_epochs"] == 3
    assert resumed.result["metrics"]["test/mae"] == waves.result["metrics"]["test/mae"]


def test_it_is_evaluated(score: Run, waves: Outcome) -> None:
    outcome = score(f"run={waves.directory}", "trust=[support]")
    assert outcome.exit_code == 0, outcome.stderr
    (record,) = (waves.directory / "evaluations").iterdir()
    assert read_json(record)["metrics"]["test/mae"] == pytest.approx(waves.result["metrics"]["test/mae"])


def test_a_sweep_of_it_is_reported_with_and_without_its_module(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    sweep = tmp_path / "sweep"
    outcome = run("model=gru,srn", f"sweep_dir={sweep}", data=["-m", *WAVES])
    assert outcome.exit_code == 0, outcome.stderr
    assert len(outcome.directories) == 2
    assert "val/mae" in outcome.stdout, "progress shows the metric that the task monitors"
    by_the_sweep = (sweep / "report" / "report.md").read_text(encoding="utf-8")
    assert "p over samples (paired t-test of absolute errors)" in by_the_sweep
    assert "The errors of each cell." in by_the_sweep
    assert (sweep / "report" / "figures" / "errors.png").exists()
    monkeypatch.delenv("PYTHONPATH")
    printed = subprocess.run(
        [sys.executable, "-m", "rnnexp.report", str(sweep)], capture_output=True, text=True, check=True, cwd=tmp_path
    ).stdout
    assert "Waves-0.3: best is" in printed
    assert "mean absolute error" in printed
    values = [f"{read_json(directory / 'result.json')['metrics']['test/mae']:.4f}" for directory in outcome.directories]
    page = (sweep / "report" / "report.md").read_text(encoding="utf-8")
    assert "p over samples" not in page, "a report imports no module that only a run directory names"
    for value in values:
        assert value in page
    assert min(values) in printed, "less is better"


def test_the_report_of_a_search_knows_its_module(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    search = ["hydra/sweeper=optuna", "hydra.sweeper.direction=minimize", "optimized_metric=val/mae_best"]
    asked = [*search, "hydra/sweeper/sampler=grid", "model=gru,srn", f"sweep_dir={tmp_path}/sweep"]
    outcome = run(*asked, data=["-m", *WAVES])
    assert outcome.exit_code == 0, outcome.stderr
    assert (tmp_path / "sweep/report/figures/errors.png").exists()


def test_a_module_to_trust_that_cannot_be_imported(waves: Outcome, tmp_path: Path) -> None:
    (tmp_path / "broken_task.py").write_text("import nothing_of_this_name\n", encoding="utf-8")
    for module in ("missing_task", "broken_task"):
        command = [sys.executable, "-m", "rnnexp.report", str(waves.directory), f"--trust={module}"]
        done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
        assert done.returncode == 2
        assert done.stderr.startswith(f"rnnexp: --trust: {module} cannot be imported: ")
        assert len(done.stderr.splitlines()) == 1


def test_a_report_runs_no_function_that_a_run_names(waves: Outcome, tmp_path: Path) -> None:
    code = (
        f"import sys; from rnnexp.report.__main__ import report; code = report([{str(waves.directory)!r}, '--output', "
        f"{str(tmp_path / 'report')!r}]); print('support.toy_task' in sys.modules, code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=tmp_path)
    assert done.stdout.splitlines()[-1] == "False 0"


def test_other_data_are_refused(run: Run) -> None:
    outcome = run("data=mnist", "data.download_from=[]", data=WAVES)
    assert outcome.exit_code == 2
    assert "WaveTask consumes Waves, and MNISTDataModule produces LabeledSequences: choose data=waves" in outcome.line


def test_a_callback_of_another_task_is_refused(run: Run) -> None:
    outcome = run("callbacks=translation", data=WAVES)
    assert outcome.exit_code == 2
    assert "TranslationWriter does not fit WaveTask" in outcome.line


def test_gradient_flow_refuses_a_loader_without_single_samples(run: Run) -> None:
    outcome = run("callbacks=[default,gradient_flow]", data=WAVES)
    assert outcome.exit_code == 2
    assert "GradientFlow" in outcome.line
    assert "DataLoader" in outcome.line
    assert "epoch 1" not in outcome.stdout


def test_the_test_outputs_that_are_named_are_saved(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    # The module is imported by its path in the config.
    from support.toy_task import WaveTask

    monkeypatch.setattr(WaveTask, "test_outputs", ("targets",))
    named = run(data=WAVES)
    assert named.exit_code == 0, named.stderr
    assert set(torch.load(named.directory / "test_predictions.pt", weights_only=True)) == {"targets"}


def test_a_task_without_test_outputs_runs_with_the_default_callbacks(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    from support.toy_task import WaveTask

    monkeypatch.setattr(WaveTask, "test_outputs", ())
    outcome = run(data=WAVES)
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.status == "done"
    assert not (outcome.directory / "test_predictions.pt").exists()


def test_the_benchmark_refuses_a_task_without_one(tmp_path: Path) -> None:
    waves = [argument for argument in WAVES if not argument.startswith("logger")]
    outcome = call(benchmark.main, tmp_path, [*waves, f"paths.outputs_dir={tmp_path}/outputs"])
    assert outcome.exit_code == 2
    assert "task" in outcome.line


def test_a_dashboard_shows_its_metric(tmp_path: Path) -> None:
    pytest.importorskip("wandb_workspaces")
    from rnnexp.dashboard import __main__ as dashboard

    arguments: Sequence[str] = ["project=waves", "metric=mae", f"paths.outputs_dir={tmp_path}/outputs"]
    outcome = call(dashboard.main, tmp_path, arguments)
    assert outcome.exit_code == 0, outcome.stderr
