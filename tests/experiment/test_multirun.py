"""Several jobs of one command line."""

from pathlib import Path

from conftest import Run
from rnnexp.files import read_json


def test_a_job_that_fails_is_told_and_the_others_run(run: Run, tmp_path: Path) -> None:
    bare = ["test=none", "logger=none", "callbacks.predictions=null", f"hydra.sweep.dir={tmp_path}/multirun"]
    outcome = run("model.hidden_size=8,0,9", *bare, "-m")
    assert outcome.exit_code == 2
    assert " model.hidden_size=0 " in outcome.line
    assert outcome.line.endswith(": model: hidden_size must be a whole number of at least 1, not 0")
    assert [read_json(path / "status.json")["status"] for path in outcome.directories] == ["done", "failed", "done"]
    for path in outcome.directories:
        log = (path / "train.log").read_text()
        assert not any(f"{other}/" in log or log.endswith(str(other)) for other in outcome.directories if other != path)


def test_a_job_gives_the_same_numbers_wherever_it_stands(run: Run, tmp_path: Path) -> None:
    """Nothing leaks from job to job: a seed gives the same after another job as alone."""
    bare = ["test=none", "logger=none", "callbacks.predictions=null", "model.dropout=0.3", "model.num_layers=2"]
    alone = run(*bare, "seed=2")
    both = run(*bare, "seed=1,2", f"hydra.sweep.dir={tmp_path}/multirun", "-m")
    results = [read_json(path / "result.json") for path in both.directories]
    second = next(result for result in results if result["seed"] == 2)
    speed = "train/samples_per_second"
    assert second["metrics"] | {speed: 0} == alone.result["metrics"] | {speed: 0}


def test_a_signal_ends_all_jobs(run: Run, tmp_path: Path) -> None:
    send = "+callbacks.probe={_target_:experiment.probing_callbacks.SendSignal,step:3,number:15}"
    outcome = run("seed=1,2,3", "logger=none", send, f"hydra.sweep.dir={tmp_path}/multirun", "-m")
    assert outcome.exit_code == 143
    assert outcome.status == "interrupted", "there is one directory only"
