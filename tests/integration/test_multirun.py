"""Several jobs of one command line."""

from pathlib import Path

from rnnexp.core.files.atomic import read_json
from support.programs import Run


def test_a_failed_job_is_reported_and_the_others_run(run: Run, tmp_path: Path) -> None:
    bare = ["test_weights=none", "logger=none", "callbacks.predictions=null", f"sweep_dir={tmp_path}/multirun"]
    outcome = run("data.name=Tiny,Tinny,Other", *bare, "-m")
    assert outcome.exit_code == 1
    assert outcome.line.startswith("rnnexp: 1 failed of 3 jobs, see output.log in ")
    lines = [line for line in outcome.stdout.splitlines() if line.startswith("failed data.name=Tinny after ")]
    assert len(lines) == 1
    assert "of the dataset 'Tinny'" in lines[0]
    statuses = {path.name.rpartition("_")[0]: read_json(path / "status.json")["status"] for path in outcome.directories}
    assert statuses == {
        "data.name-Tinny": "failed",
        "data.name-Tiny": "done",
        "data.name-Other": "done",
    }
    for path in outcome.directories:
        log = (path / "train.log").read_text(encoding="utf-8")
        assert not any(f"{other}/" in log or log.endswith(str(other)) for other in outcome.directories if other != path)


def test_a_job_gives_the_same_numbers_at_any_position(run: Run, tmp_path: Path) -> None:
    """No state passes from job to job: a seed gives the same numbers after another job as alone."""
    bare = ["test_weights=none", "logger=none", "callbacks.predictions=null", "model.dropout=0.3", "model.num_layers=2"]
    alone = run(*bare, "seed=2")
    both = run(*bare, "seed=1,2", f"sweep_dir={tmp_path}/multirun", "-m")
    results = [read_json(path / "result.json") for path in both.directories]
    second = next(result for result in results if result["seed"] == 2)
    speed = "train/samples_per_second"
    assert second["metrics"] | {speed: 0} == alone.result["metrics"] | {speed: 0}


def test_a_signal_to_a_job_ends_that_job(run: Run, tmp_path: Path) -> None:
    send = "+callbacks.probe={_target_:support.probing_callbacks.SendSignal,step:3,number:15}"
    outcome = run("seed=1,2", "logger=none", send, f"sweep_dir={tmp_path}/multirun", "-m")
    assert outcome.exit_code == 1
    assert outcome.line.startswith("rnnexp: 2 interrupted of 2 jobs, see output.log in ")
    assert [read_json(path / "status.json")["status"] for path in outcome.directories] == ["interrupted"] * 2


def test_no_job_starts_if_a_constructor_refuses_a_value(run: Run, tmp_path: Path) -> None:
    outcome = run("data.view=rows,rwos", f"sweep_dir={tmp_path}/sweep", "-m")
    assert outcome.exit_code == 2
    assert "unknown view 'rwos'" in outcome.line
    assert outcome.directories == []
