"""Jobs of a sweep run as processes: a failed job affects no other, and finished jobs are not run again."""

import os
import re
import shlex
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
import torch

from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.core.files.bounded_log import MAX_BYTES
from support import TESTS
from support.cells import MODELS
from support.programs import Run, on_small_disk
from support.sweeps import BARE, FAULT, FAULT_ONCE, kinds_of, processes_of, start, statuses, wait_for


def test_a_failed_job_is_run_again(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = ["seed=1,2,3,4", f"sweep_dir={sweep}", *BARE]
    first = run(*asked, FAULT % "2:flood,3:kill,4:diverge", "-m")
    assert first.exit_code == 1
    assert first.line.startswith("rnnexp: 2 failed of 4 jobs, see output.log in ")
    assert statuses(sweep) == {1: "done", 2: "failed", 3: "failed", 4: "diverged"}
    assert "killed by SIGKILL (possibly out of memory)" in first.stdout
    assert re.search(r"^ +\| rnnexp: .*ZeroDivisionError: division by a seed", first.stdout, re.MULTILINE)
    assert next(sweep.glob("jobs/*seed-2*/output.log")).stat().st_size <= MAX_BYTES
    results = {path: path.stat().st_mtime_ns for path in sweep.glob("jobs/*seed-1*/result.json")}
    assert len(results) == 1

    again = run(*asked, FAULT % "9:raise", "-m")
    # The faults are in callbacks, which are not part of the identity of an experiment.
    assert again.exit_code == 0, again.stderr
    assert "4 jobs, 2 to run" in again.stdout
    assert statuses(sweep) == {1: "done", 2: "done", 3: "done", 4: "diverged"}
    assert {path: path.stat().st_mtime_ns for path in results} == results

    grown = run(*asked[1:], "seed=1,2,3,4,5", "-m")
    assert "5 jobs, 1 to run" in grown.stdout
    assert statuses(sweep)[5] == "done"
    assert len(read_json(sweep / "sweep.json")["jobs"]) == 5


def test_a_job_that_was_killed_starts_again_in_the_same_sweep(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = ["seed=1,2", f"sweep_dir={sweep}", *BARE, "trainer.max_epochs=2"]
    fault = FAULT_ONCE % ("1:kill,2:raise", tmp_path / "once")
    outcome = run(*asked, fault, "hydra.launcher.retries=2", "hydra.launcher.jobs=1", "-m")
    assert statuses(sweep) == {1: "done", 2: "failed"}, "a mistake is not tried again"
    assert re.search(r"^again +seed=1, retry 1 of 2$", outcome.stdout, re.MULTILINE)
    assert re.search(r"^start +seed=1 on .*, continued, retry 1$", outcome.stdout, re.MULTILINE)
    records = {int(path.parent.name[5]): read_json(path) for path in sweep.glob("jobs/*/status.json")}
    assert {seed: record["attempts"] for seed, record in records.items()} == {1: 2, 2: 1}
    assert run(*asked, fault, "-m").exit_code == 0
    assert read_json(next(sweep.glob("jobs/seed-2*/status.json")))["attempts"] == 2


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["pool", "submitit_local", "ray"])
@pytest.mark.parametrize("fault", ["kill", "terminate", "disk", "hang"])
def test_a_job_starts_again_after_a_transient_fault(
    run: Run, tmp_path: Path, launcher: str, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    sweep = tmp_path / "sweep"
    outcome = run(
        *("seed=1", f"sweep_dir={sweep}", *BARE, "trainer.max_epochs=2", f"hydra/launcher={launcher}"),
        *(FAULT_ONCE % (f"1:{fault}", tmp_path / "once"), "hydra.launcher.retries=1", "hydra.launcher.job_timeout=30"),
        "-m",
    )
    assert outcome.exit_code == 0, outcome.stdout + outcome.stderr
    assert ", continued, retry 1" in outcome.stdout
    (job,) = sweep.glob("jobs/*")
    assert read_json(job / "status.json")["attempts"] == 2
    assert read_json(job / "result.json")["num_steps"] == 20


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("fault", ["kill", "terminate", "disk", "hang"])
def test_a_job_of_two_processes_starts_again_after_a_transient_fault(
    run: Run, tmp_path: Path, fault: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    sweep = tmp_path / "sweep"
    outcome = run(
        *("seed=1", f"sweep_dir={sweep}", *BARE, "trainer.max_epochs=2", "data.batch_size=25"),
        *("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2"),
        f"hydra.launcher.job_timeout={150 if fault == 'hang' else 'null'}",
        *(FAULT_ONCE % (f"1:{fault}", tmp_path / "once"), "hydra.launcher.retries=1", "-m"),
    )
    assert outcome.exit_code == 0, outcome.stdout + outcome.stderr
    assert ", continued, retry 1" in outcome.stdout
    (job,) = sweep.glob("jobs/*")
    assert read_json(job / "status.json")["attempts"] == 2
    result = read_json(job / "result.json")
    assert (result["num_steps"], result["device"]["num_devices"]) == (20, 2)
    assert not processes_of(sweep)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_a_job_whose_supervisor_was_killed_starts_again(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    parent = start(
        *(tiny, "seed=1", f"sweep_dir={sweep}", *BARE, "trainer.max_epochs=50", "callbacks.early_stopping=null"),
        *("trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", "hydra.launcher.retries=1"),
    )
    wait_for(lambda: list(sweep.glob("jobs/*/checkpoints/last.ckpt")), 300)
    kinds = kinds_of(parent.pid)
    assert Counter(kinds.values())["rank"] == 2
    (job,) = (number for number, kind in kinds.items() if kind == "job")
    os.kill(job, signal.SIGKILL)
    stdout, stderr = parent.communicate(timeout=600)
    assert parent.returncode == 0, stdout + stderr
    assert ", continued, retry 1" in stdout
    assert read_json(next(sweep.glob("jobs/*/status.json")))["attempts"] == 2
    assert not processes_of(sweep)


@pytest.mark.slow
def test_a_disk_that_becomes_full_during_a_sweep(tiny: list[str], tmp_path: Path) -> None:
    """A real disk with room for one job and a part of the next. With more room the same command continues."""
    place = tmp_path / "small"
    asked = [*tiny, "seed=1,2,3", "hydra.launcher.jobs=1", f"sweep_dir={place}/sweep", "report=false", "-m"]
    script = f"""head -c 1700000 /dev/zero > {place}/filler
        "$@"; echo "== $?"; rm {place}/filler; "$@"; echo "== $?"; cat {place}/sweep/jobs/*/status.json"""
    done = on_small_disk(place, 2000, script, sys.executable, "-m", "rnnexp.train", *asked)
    first, second, rest = done.stdout.split("== ")
    assert "done   seed=1" in first
    assert "No space left on device" in first
    assert second.startswith("1\n"), done.stdout
    assert done.stderr.startswith("rnnexp: 2 failed of 3 jobs, see output.log in ")
    assert done.stderr.count("\n") == 1, "and there is no other line"
    assert "3 jobs, 2 to run" in second
    assert rest.startswith("0\n"), done.stdout
    assert rest.count('"status": "done"') == 3


def test_a_sweep_ends_with_a_report(run: Run, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    sweep = tmp_path / "sweep"
    asked = ["seed=1,2", "logger=csv", f"sweep_dir={sweep}", "report=true", "run_only=[callbacks.fault]"]
    asked += ["callbacks.predictions=null"]
    assert run(*asked, FAULT % "2:raise", "-m").exit_code == 1, "a report does not hide that a job failed"
    assert f"written to {sweep}/report/report.html" in capfd.readouterr().out
    report = (sweep / "report" / "report.md").read_text(encoding="utf-8")
    assert re.search(r"\| failed \| .*division by a seed \|", report)
    assert run(*asked, "-m").exit_code == 0
    assert "2 runs: 2 done" in (sweep / "report" / "report.md").read_text(encoding="utf-8")


def test_changed_code_is_reported(run: Run, tmp_path: Path) -> None:
    asked = [f"sweep_dir={tmp_path}/sweep", *BARE, "trainer.max_steps=1"]
    assert run("seed=1", *asked, "-m").exit_code == 0
    (status,) = (tmp_path / "sweep").glob("jobs/*/status.json")
    write_json(status, read_json(status) | {"code": {"commit": "0" * 40, "dirty": False}})
    for seed in (1, 2):
        refused = run(f"seed={seed}", *asked, "-m")
        assert refused.exit_code == 2
        assert refused.directories == [], "and none of it has run"
    assert " ran on other code (0000000000) than this (" in refused.line
    assert refused.line.endswith("choose a new sweep_dir=, or allow_code_change=true to continue anyway")
    continued = run("seed=1,2", *asked, "allow_code_change=true", "-m")
    assert continued.exit_code == 0, continued.stderr
    assert "2 jobs, 1 to run" in continued.stdout


def test_a_bad_sweep_is_refused_before_any_job(run: Run, tmp_path: Path) -> None:
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "letter.txt").write_text("Dear reader", encoding="utf-8")
    outcome = run("seed=1,2", f"sweep_dir={foreign}", "-m")
    assert outcome.line == f"rnnexp: {foreign} holds files, but is not a sweep directory: name another with sweep_dir="
    assert [entry.name for entry in foreign.iterdir()] == ["letter.txt"]

    (foreign / "letter.txt").unlink()
    write_json(foreign / "sweep.json", {"name": "cells_mnist"})
    outcome = run("seed=1,2", f"sweep_dir={foreign}", "-m")
    assert outcome.line.endswith(" holds the sweep 'cells_mnist', not 'train': name another with sweep_dir=")

    for wrong, message in (
        ("hydra.launcher.on_error=contine", "unknown hydra.launcher.on_error 'contine': choose one of continue, stop"),
        ("hydra.launcher.jobs=0", "hydra.launcher.jobs must be a whole number of at least 1, not 0"),
        ("hydra.launcher.jobs=null", "hydra.launcher.jobs must be a whole number of at least 1, not None"),
        ("hydra.launcher.job_timeout=-1", "hydra.launcher.job_timeout must be a number of seconds, not -1"),
        ("model.hiden_size=1,2", "unknown key 'hiden_size' in model"),
        ("model=gru,lstn", f"unknown model 'lstn': choose one of {MODELS}; did you mean 'lstm'?"),
    ):
        outcome = run(wrong, f"sweep_dir={tmp_path}/new", "-m")
        assert outcome.exit_code == 2
        assert message in outcome.line
        assert not list((tmp_path / "new").rglob("status.json"))
    outcome = run("dry_run=true")
    assert outcome.line == "rnnexp: dry_run=True is for sweeps: add -m, or leave it out"


def test_a_directory_that_cannot_be_a_sweep(run: Run) -> None:
    for given, shown in (("null", "None"), ("[a]", "['a']"), ("''", "''")):
        line = run("seed=1,2", f"sweep_dir={given}", "-m").line
        assert line == f"rnnexp: sweep_dir must be the path of a directory, not {shown}"
    assert "model=[...] is a list, and a run has one model" in run("model=[gru,lstm]", "seed=1,2", "-m").line


HOLD = """
import sys
from pathlib import Path
from rnnexp.core.files.directory_lock import locked

with locked(Path(sys.argv[1])):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_a_directory_of_something_else_is_left_alone(run: Run, tmp_path: Path) -> None:
    """A directory of another program of Hydra has a directory of that name too."""
    config = tmp_path / ".hydra" / "config.yaml"
    config.parent.mkdir()
    config.write_text("seed: 1\n", encoding="utf-8")
    (tmp_path / "train.log").touch()
    outcome = run("seed=1,2", f"sweep_dir={tmp_path}", "-m")
    assert "holds files, but is not a sweep directory" in outcome.line
    assert run("seed=1,2", f"sweep_dir={tmp_path}", "dry_run=true", "-m").exit_code == 0
    assert [path.name for path in sorted(tmp_path.iterdir())] == [".hydra", "train.log"]
    assert list(config.parent.iterdir()) == [config]


def test_a_sweep_that_is_in_use_keeps_its_record(run: Run, tmp_path: Path) -> None:
    asked = ["seed=1", f"sweep_dir={tmp_path}/sweep", *BARE, "-m"]
    assert run(*asked).exit_code == 0
    record = tmp_path / "sweep/.hydra/multirun.yaml"
    before = record.read_bytes()
    assert b"seed=1" in before
    hold = [sys.executable, "-c", HOLD, record.parents[1]]
    with subprocess.Popen(hold, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        holder.stdout.readline()
        refused = run(*["seed=7" if part == "seed=1" else part for part in asked])
        holder.kill()
    assert "which runs this sweep" in refused.line
    assert record.read_bytes() == before
    assert run(*asked, "model.dropout=7").exit_code == 2
    assert record.read_bytes() == before
    assert run(*asked, "dry_run=true").exit_code == 0
    assert record.read_bytes() == before


def test_printed_commands_can_be_pasted(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Commands also work with a directory that Hydra needs quoted, and one in the home directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = ["seed=1", *BARE]
    refused = run(*asked, FAULT % "1:raise", "sweep_dir='~/two words = one'", "-m")
    assert (tmp_path / "two words = one" / "sweep.json").exists()
    assert not Path("~").exists()
    (pasted,) = re.findall(r"the same command with (.*) runs these again", refused.line)
    assert "1 to run" in run(*asked, *shlex.split(pasted), "-m").stdout
    (job,) = run(*asked, "sweep_dir=~/plain", "-m").directories
    assert run(f"ckpt_path={job}/checkpoints/last.ckpt", *asked).exit_code == 0


def test_an_unreadable_status_blocks_no_job(run: Run, tmp_path: Path) -> None:
    asked = [f"sweep_dir={tmp_path}/sweep", *BARE, "trainer.max_steps=1", "-m"]
    assert run("seed=1,2", *asked).exit_code == 0
    (job,) = (tmp_path / "sweep").glob("jobs/seed-1_*")
    (job / "status.json").write_text("{", encoding="utf-8")
    again = run("seed=1,2", *asked)
    assert "2 jobs, 1 to run" in again.stdout
    assert again.exit_code == 0, again.stderr
    assert statuses(tmp_path / "sweep") == {1: "done", 2: "done"}
    assert (job / "status.json.damaged").read_text(encoding="utf-8") == "{"


def test_points_that_are_one_experiment_run_once(run: Run, tmp_path: Path) -> None:
    outcome = run("model=birnn,srn", "model.bidirectional=true", f"sweep_dir={tmp_path}/sweep", *BARE, "-m")
    assert outcome.exit_code == 0, outcome.stderr
    assert len(outcome.directories) == 1


def test_a_dry_run_lists_jobs_and_writes_nothing(run: Run, tmp_path: Path) -> None:
    outcome = run(
        "model=gru,srn", "trainer.precision=32-true,16-mixed", f"sweep_dir={tmp_path}/sweep", "dry_run=true", "-m"
    )
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.stdout.count("to run") == 2, outcome.stdout
    assert outcome.stdout.count("at precision 16-mixed is unsupported: ") == 2, outcome.stdout
    assert "4 jobs, about " in outcome.stdout
    assert not (tmp_path / "sweep").exists()


def test_on_error_stop_ends_the_sweep(run: Run, tmp_path: Path) -> None:
    outcome = run(
        *("seed=1,2,3", f"sweep_dir={tmp_path}/sweep", FAULT % "1:raise,2:raise,3:raise", *BARE),
        *("hydra.launcher.on_error=stop", "hydra.launcher.jobs=1", "-m"),
    )
    assert outcome.exit_code == 1
    assert Counter(statuses(tmp_path / "sweep").values()) == {"failed": 1, "queued": 2}


def test_ctrl_c_stops_the_jobs_and_they_are_resumed(tiny: list[str], run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = [f"sweep_dir={sweep}", "seed=1,2", "trainer.max_epochs=2000", "callbacks.early_stopping=null", *BARE]
    parent = start(tiny, *asked)
    wait_for(lambda: len(list(sweep.glob("jobs/*/checkpoints/last.ckpt"))) == 2)
    second = run(*asked, "-m")
    assert f"{sweep} is in use by process {parent.pid} on " in second.line
    assert second.exit_code == 2
    parent.send_signal(signal.SIGINT)
    stdout, stderr = parent.communicate(timeout=60)
    assert parent.returncode == 130, stderr
    assert f"continue with the same command and sweep_dir={sweep}" in stdout
    assert statuses(sweep) == {1: "interrupted", 2: "interrupted"}
    assert not processes_of(sweep)

    before = {path.parent.parent: torch.load(path, weights_only=True) for path in sweep.rglob("last.ckpt")}
    outcome = run(*asked, "hydra.launcher.jobs=2", f"+callbacks.stop={STOP}", "-m")
    assert "continued" in outcome.stdout
    for directory, checkpoint in before.items():
        steps = [
            line.split(",")[1] for line in (directory / "metrics.csv").read_text(encoding="utf-8").splitlines()[1:]
        ]
        assert steps.count("0") == 1
        assert sorted(map(int, steps)) == list(map(int, steps)), "rows of before and after, none twice"
        assert max(map(int, steps)) >= checkpoint["global_step"], "steps are counted from 0"


STOP = "{_target_:support.probing_callbacks.StopAfterEpoch}"


def test_ctrl_c_does_not_reach_a_fork_server_that_imports() -> None:
    code = (
        "from multiprocessing import forkserver; from rnnexp.sweeps.process.forkserver import start_server\n"
        "start_server(); print(open(f'/proc/{forkserver._forkserver._forkserver_pid}/status').read())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    (blocked,) = re.findall(r"SigBlk:\s*(\w+)", done.stdout)
    assert int(blocked, 16) >> (signal.SIGINT - 1) & 1


def test_no_process_outlives_its_parent(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = [f"sweep_dir={sweep}", "seed=1,2", "trainer.max_epochs=100000", "callbacks.early_stopping=null", *BARE]
    parent = start(tiny, *asked)
    wait_for(lambda: len(list(sweep.glob("jobs/*/checkpoints/last.ckpt"))) == 2)
    assert len(processes_of(sweep)) >= 3
    parent.kill()
    parent.communicate()
    wait_for(lambda: not processes_of(sweep), 40)
    assert statuses(sweep) == {1: "interrupted", 2: "interrupted"}


def sleeping(seconds: int) -> list[str]:
    """Return the processes that `StartChild` has started with this number."""
    listing = subprocess.run(["ps", "-ww", "-eo", "stat,args"], capture_output=True, text=True, check=True).stdout
    return [line for line in listing.split("\n") if f"sleep {seconds}" in line and not line.startswith("Z")]


@pytest.mark.slow
@pytest.mark.parametrize("launcher", ["pool", "submitit_local", "ray"])
def test_the_processes_of_a_job_end_with_it(
    run: Run, tmp_path: Path, launcher: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(TESTS))
    number = 100_000 + os.getpid() % 100_000
    child = f"+callbacks.child={{_target_:support.probing_callbacks.StartChild,seconds:{number}}}"
    asked = ["seed=1,2", f"sweep_dir={tmp_path}/sweep", f"hydra/launcher={launcher}", *BARE, FAULT % "2:kill", child]
    run(*asked, "-m")
    assert statuses(tmp_path / "sweep") == {1: "done", 2: "failed"}
    wait_for(lambda: not sleeping(number), 30)


@pytest.mark.slow
def test_the_processes_of_a_job_end_with_a_killed_parent(tiny: list[str], tmp_path: Path) -> None:
    sweep, number = tmp_path / "sweep", 200_000 + os.getpid() % 100_000
    child = f"+callbacks.child={{_target_:support.probing_callbacks.StartChild,seconds:{number}}}"
    endless = ["trainer.max_epochs=100000", "callbacks.early_stopping=null"]
    parent = start(tiny, f"sweep_dir={sweep}", "seed=1,2", "hydra.launcher.jobs=1", *endless, *BARE, child)
    wait_for(lambda: len(list(sweep.glob("jobs/*/checkpoints/last.ckpt"))) == 1)
    assert sleeping(number)
    parent.kill()
    parent.communicate()
    wait_for(lambda: not processes_of(sweep) and not sleeping(number), 60)
    assert sorted(statuses(sweep).values()) == ["interrupted", "queued"]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_twelve_jobs_with_every_fault_and_a_killed_parent(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    faults = FAULT % "2:raise,4:kill,6:memory,8:hang,10:diverge"
    seeds = "seed=" + ",".join(map(str, range(1, 13)))
    asked = [f"sweep_dir={sweep}", seeds, faults, *BARE, "hydra.launcher.job_timeout=45", "trainer.max_epochs=2"]
    parent = start(tiny, *asked)
    wait_for(lambda: Counter(read_json(path)["status"] for path in sweep.glob("jobs/*/status.json"))["done"] >= 3)
    parent.kill()
    parent.communicate()
    wait_for(lambda: not processes_of(sweep), 60)
    done = {path: path.read_bytes() for path in sweep.glob("jobs/*/result.json") if read_json(path)["status"] == "done"}
    assert len(done) >= 3
    parent = start(tiny, *asked)
    stdout, stderr = parent.communicate(timeout=500)
    assert parent.returncode == 1, stdout + stderr
    failed = dict.fromkeys((2, 4, 6, 8), "failed") | {10: "diverged"}
    assert statuses(sweep) == {seed: failed.get(seed, "done") for seed in range(1, 13)}, stdout
    assert {path: path.read_bytes() for path in done} == done, "no finished result is touched"
    reasons = {path.parent.name: read_json(path)["reason"] for path in sweep.glob("jobs/*/status.json")}
    assert any("job_timeout=45" in reason for reason in reasons.values())
    assert any("allocate memory" in reason for reason in reasons.values())
    assert not processes_of(sweep)


@pytest.mark.slow
def test_a_sweep_of_jobs_with_two_processes_each(run: Run, tmp_path: Path) -> None:
    outcome = run(
        *("seed=1,2", "trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", f"sweep_dir={tmp_path}/sweep"),
        *("logger=csv", "-m"),
    )
    assert outcome.exit_code == 0, outcome.stdout + outcome.stderr
    assert len(outcome.directories) == 2
    for directory in outcome.directories:
        result = read_json(directory / "result.json")
        assert result["num_test_samples"] == 200
        assert result["device"]["num_devices"] == 2
