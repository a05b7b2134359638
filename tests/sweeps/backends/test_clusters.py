"""Sweeps with submitit, SLURM and Ray write the same files and statuses as with the pool."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from rnnexp.cli.conf_dir import config_root
from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.core.files.bounded_log import MAX_BYTES
from rnnexp.sweeps.backends.slurm_record import SlurmRecord
from rnnexp.tracking.run_directory import RunDirectory
from support import ROOT, TESTS, small_slurm
from support.payloads import make_files
from support.programs import NUM_TEST, Run, run_directories
from support.sweeps import BARE, FAULT, SEARCH, processes_of, read_until, start, statuses, uninstall, wait_for

PAGE = (ROOT / "docs" / "clusters.md").read_text(encoding="utf-8")
LOCAL, SLURM, RAY = (f"hydra/launcher={name}" for name in ("submitit_local", "submitit_slurm", "ray"))
ENDLESS = ["trainer.max_epochs=100000", "callbacks.early_stopping=null", *BARE]


@pytest.fixture(autouse=True)
def _callbacks_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    # Jobs of a cluster inherit the environment, but not sys.path of this process.
    monkeypatch.setenv("PYTHONPATH", str(TESTS))


def task_of_submitit(folder: Path) -> int:
    """Return the id of the process in which submitit calls the job."""
    found = []
    for entry in Path("/proc").iterdir():
        # Processes may end during the loop.
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            if b"submitit.core._submit" in words and any(word.startswith(f"{folder}/".encode()) for word in words):
                found.append(int(entry.name))
    assert len(found) == 1
    return found[0]


def status_of_one(sweep: Path) -> dict[str, Any]:
    (file,) = sweep.glob("jobs/*/status.json")
    return read_json(file)


def steps(sweep: Path) -> list[int]:
    files = list(sweep.glob("jobs/*/metrics.csv"))
    if not files:
        # A resumed run removes the file briefly and writes it again.
        return [-1]
    (file,) = files
    # Only complete lines: the last may be incomplete.
    return [int(line.split(",")[1]) for line in file.read_text(encoding="utf-8").rpartition("\n")[0].splitlines()[1:]]


def has_saved(sweep: Path, number: int) -> bool:
    return len(list(sweep.glob("jobs/*/checkpoints/last.ckpt"))) == number


def test_submitit_runs_a_job_once_with_the_settings_of_slurm_and_reads_no_other_pickles(
    run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A command for SLURM can be tried without SLURM."""
    monkeypatch.setenv("HOME", str(tmp_path))
    folder = tmp_path / "logs"
    folder.mkdir()
    make_files(tmp_path, tmp_path / "canary")
    for number in range(os.getpid(), os.getpid() + 4000):
        for end in ("submitted", "0_result"):
            os.link(tmp_path / "object.pickle", folder / f"{number}_{end}.pkl")
    options = {"timeout_min": 30, "cpus_per_task": 64, "gpus_per_node": 8, "tasks_per_node": 2, "mem_gb": 500}
    options |= {"nodes": 2, "name": "mine", "stderr_to_stdout": True, "submitit_folder": "'~/logs'"}
    asked = ["seed=1", LOCAL, f"sweep_dir={tmp_path}/sweep", "trainer.max_steps=2", *BARE]
    asked += [f"hydra.launcher.{name}={value}" for name, value in options.items()]
    outcome = run(*asked, "-m")
    assert outcome.exit_code == 0, outcome.stderr
    assert not (tmp_path / "canary").exists()
    assert outcome.status == "done"
    assert outcome.result["num_steps"] == 2
    assert list(folder.glob("*/*_0_log.out"))
    assert not list(folder.glob("*/*_0_log.err"))
    assert "1 job, 0 to run" in run(*asked, "-m").stdout


@pytest.mark.slow
def test_a_failed_job_is_run_again(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = ["seed=1,2,3", LOCAL, f"sweep_dir={sweep}", *BARE]
    first = run(*asked, FAULT % "2:flood,3:kill", "-m")
    assert first.exit_code == 1
    assert next(sweep.glob("jobs/*seed-2*/output.log")).stat().st_size <= MAX_BYTES
    assert statuses(sweep) == {1: "done", 2: "failed", 3: "failed"}
    assert "killed by SIGKILL" in first.stdout
    assert re.search(r"^ +\| rnnexp: .*ZeroDivisionError: division by a seed", first.stdout, re.MULTILINE)
    again = run(*asked, "-m")
    assert again.exit_code == 0, again.stderr
    assert "3 jobs, 2 to run" in again.stdout


@pytest.mark.slow
def test_a_failure_stops_the_sweep_and_a_hung_job_has_failed(tiny: list[str], tmp_path: Path) -> None:
    asked = [LOCAL, "seed=1,2", FAULT % "1:hang,2:hang", *BARE, "hydra.launcher.array_parallelism=1"]
    limits = ["hydra.launcher.on_error=stop", "hydra.launcher.job_timeout=15"]
    parent = start(tiny, f"sweep_dir={tmp_path}/sweep", *asked, *limits)
    stdout, stderr = parent.communicate(timeout=120)
    assert parent.returncode == 1, stdout + stderr
    assert sorted(statuses(tmp_path / "sweep").values()) == ["failed", "queued"]
    assert ": ran longer than job_timeout=15 seconds" in stdout
    assert not processes_of(tmp_path / "sweep")


@pytest.mark.slow
def test_a_preempted_job_continues_and_the_sweep_can_be_interrupted(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    parent = start(tiny, LOCAL, f"sweep_dir={sweep}", "seed=1", *ENDLESS)
    wait_for(lambda: has_saved(sweep, 1))
    os.kill(task_of_submitit(sweep / "submitit"), signal.SIGUSR2)
    wait_for(lambda: status_of_one(sweep)["status"] == "queued")
    assert status_of_one(sweep)["reason"] == "stopped by the scheduler, to be continued"
    reached = steps(sweep)[-1]
    # Some steps further than what was saved, so that it trains.
    wait_for(lambda: steps(sweep)[-1] > reached + 20, 300)
    parent.send_signal(signal.SIGINT)
    stdout, stderr = parent.communicate(timeout=90)
    assert parent.returncode == 130, stdout + stderr
    assert status_of_one(sweep)["status"] == "interrupted"
    assert "SIGTERM in epoch" in status_of_one(sweep)["reason"]
    assert not processes_of(sweep)
    assert steps(sweep) == sorted(steps(sweep)), "rows of before and after"
    assert steps(sweep).count(0) == 1


@pytest.mark.slow
def test_a_job_whose_controller_was_killed_starts_again(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    parent = start(tiny, LOCAL, f"sweep_dir={sweep}", "seed=1", "hydra.launcher.retries=1", *ENDLESS)
    wait_for(lambda: has_saved(sweep, 1), 300)
    task = Path(f"/proc/{task_of_submitit(sweep / 'submitit')}/stat").read_text(encoding="utf-8")
    controller = int(task.rpartition(")")[2].split()[1])
    reached = steps(sweep)[-1]
    os.kill(controller, signal.SIGKILL)
    wait_for(lambda: status_of_one(sweep)["attempts"] == 2 and status_of_one(sweep)["status"] == "running", 300)
    wait_for(lambda: steps(sweep)[-1] > reached, 300)
    parent.send_signal(signal.SIGINT)
    stdout, stderr = parent.communicate(timeout=120)
    assert parent.returncode == 130, stdout + stderr
    assert steps(sweep) == sorted(steps(sweep))
    assert not processes_of(sweep)


@pytest.mark.slow
def test_a_job_out_of_time_too_often_can_still_be_continued(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    # submitit treats an end within ten minutes of the limit as a timeout.
    short = ["hydra.launcher.timeout_min=5", "hydra.launcher.max_num_timeout=0"]
    parent = start(tiny, LOCAL, f"sweep_dir={sweep}", "seed=1", *short, *ENDLESS)
    wait_for(lambda: has_saved(sweep, 1))
    os.kill(task_of_submitit(sweep / "submitit"), signal.SIGUSR2)
    stdout, stderr = parent.communicate(timeout=90)
    assert parent.returncode == 1, stdout + stderr
    assert status_of_one(sweep)["status"] == "interrupted"
    assert status_of_one(sweep)["reason"] == "Job not requeued because: timed-out too many times."


@pytest.mark.slow
@pytest.mark.parametrize("launcher", [LOCAL, RAY])
def test_no_process_outlives_its_parent(tiny: list[str], tmp_path: Path, launcher: str) -> None:
    sweep = tmp_path / "sweep"
    parent = start(tiny, launcher, f"sweep_dir={sweep}", "seed=1", *ENDLESS)
    wait_for(lambda: has_saved(sweep, 1))
    parent.kill()
    parent.communicate()
    wait_for(lambda: not processes_of(sweep), 60)
    assert status_of_one(sweep)["status"] == "interrupted"


@pytest.mark.slow
def test_ray_runs_jobs_and_leaves_no_processes(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = [RAY, f"sweep_dir={sweep}", "seed=1,2", FAULT % "2:kill", *BARE]
    parent = start(tiny, *asked)
    stdout, stderr = parent.communicate(timeout=240)
    assert parent.returncode == 1, stdout + stderr
    assert statuses(sweep) == {1: "done", 2: "failed"}
    assert "killed by SIGKILL" in stdout
    assert stderr.startswith("rnnexp: 1 failed of 2 jobs"), stderr
    wait_for(lambda: not ray_processes(parent), 30)


@pytest.mark.slow
def test_ctrl_c_stops_the_tasks_of_ray_and_they_are_resumed(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = [RAY, f"sweep_dir={sweep}", "seed=1,2", "hydra.launcher.num_cpus=1", *ENDLESS]
    parent = start(tiny, *asked)
    wait_for(lambda: has_saved(sweep, 1))
    parent.send_signal(signal.SIGINT)
    stdout, stderr = parent.communicate(timeout=120)
    assert parent.returncode == 130, stdout + stderr
    assert f"continue with the same command and sweep_dir={sweep}" in stdout
    assert statuses(sweep) == {1: "interrupted", 2: "interrupted"}
    wait_for(lambda: not ray_processes(parent), 30)
    parent = start(tiny, *asked, "+callbacks.stop={_target_:support.probing_callbacks.StopAfterEpoch}")
    stdout, stderr = parent.communicate(timeout=240)
    assert parent.returncode == 0, stdout + stderr
    assert stdout.count(", continued") == 1


def ray_processes(parent: "subprocess.Popen[str]") -> list[str]:
    """Return processes of the cluster that a command started; its session has the id of that process."""
    listing = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    return re.findall(rf".*/session_[0-9_-]+_{parent.pid}/.*", listing)


@pytest.mark.slow
def test_a_search_uses_one_cluster_of_ray(tiny: list[str], tmp_path: Path) -> None:
    search = [*SEARCH, "optimizer.lr=interval(0.001,0.1)", "hydra.sweeper.n_trials=2", "hydra.sweeper.n_jobs=1"]
    parent = start(tiny, RAY, *search, f"sweep_dir={tmp_path}/sweep", "hydra.launcher.num_cpus=1", *BARE)
    stdout, stderr = parent.communicate(timeout=240)
    assert parent.returncode == 0, stdout + stderr
    assert stdout.count("1 job, 1 to run") == 2
    assert len(list(Path("/tmp/ray").glob(f"session_*_{parent.pid}"))) == 1
    wait_for(lambda: not ray_processes(parent), 30)


@pytest.mark.slow
def test_a_missing_cluster_of_ray_is_a_one_line_error(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Without an address Ray may find the cluster of another test on this machine.
    within = ["unshare", "--pid", "--fork", "--mount-proc", "--map-root-user"]
    if not shutil.which("unshare") or subprocess.run([*within, "true"], capture_output=True, check=False).returncode:
        pytest.skip("other Ray clusters must be hidden, which this system denies this user (unshare --pid)")
    monkeypatch.setenv("RAY_TMPDIR", str(tmp_path))
    asked = [sys.executable, "-m", "rnnexp.train", *tiny, RAY, "seed=1,2", f"sweep_dir={tmp_path}/sweep"]
    asked += ["hydra.launcher.address=auto", "-m"]
    done = subprocess.run([*within, *asked], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2, done.stderr
    assert done.stderr.startswith("rnnexp: hydra.launcher.address=auto: Could not find any running Ray instance.")
    assert done.stderr.count("\n") == 1


@pytest.mark.slow
def test_a_cluster_of_ray_that_refuses_access_is_a_one_line_error(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The cluster requires a token, and there is none.
    monkeypatch.setenv("RAY_AUTH_MODE", "token")
    monkeypatch.setenv("HOME", str(tmp_path))
    asked = [RAY, "seed=1,2", f"sweep_dir={tmp_path}/sweep", "hydra.launcher.address=127.0.0.1:1"]
    parent = start(tiny, *asked)
    _, stderr = parent.communicate(timeout=120)
    assert parent.returncode == 2, stderr
    assert stderr.startswith("rnnexp: hydra.launcher.address=127.0.0.1:1: "), stderr
    assert stderr.count("\n") == 1
    assert "oken" in stderr


TWO_NODES = """
from ray.cluster_utils import Cluster
cluster = Cluster()
cluster.add_node(num_cpus=2, num_gpus=0, include_dashboard=False)
cluster.add_node(num_cpus=1, num_gpus=1)
print(cluster.address, flush=True)
input()
cluster.shutdown()
"""


@pytest.mark.slow
def test_a_task_of_ray_fits_into_one_node(tiny: list[str], tmp_path: Path) -> None:
    """One node has the cores and another the GPU: a job that needs both gets the cores of the second node."""
    with subprocess.Popen(
        [sys.executable, "-c", TWO_NODES], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as cluster:
        assert cluster.stdout is not None
        address = cluster.stdout.readline().strip()
        asked = [RAY, f"hydra.launcher.address={address}", f"sweep_dir={tmp_path}/sweep", "seed=1", "trainer=gpu"]
        parent = start(tiny, *asked, "num_threads=2", "hydra.launcher.job_timeout=60", *BARE)
        try:
            stdout, stderr = parent.communicate(timeout=120)
        finally:
            cluster.communicate("\n")
    assert parent.returncode in (0, 1), stdout + stderr
    assert re.search("^start .* on ray, 1 gpu$", stdout, re.MULTILINE), "no node has two cores and a GPU"


@pytest.mark.slow
def test_slurm_runs_an_array_and_reports_what_killed_a_job(tiny: list[str], slurm: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    options = [
        "hydra.launcher.partition=gpu",
        "hydra.launcher.mem_gb=4",
        "hydra.launcher.setup=['export FROM_SETUP=1']",
    ]
    parent = start(tiny, SLURM, f"sweep_dir={sweep}", "seed=1,2", *options, *BARE, FAULT % "2:raise")
    stdout, stderr = parent.communicate(timeout=200)
    assert parent.returncode == 1, stdout + stderr
    assert "submitted 2 jobs as SLURM job 1000" in stdout
    assert statuses(sweep) == {1: "done", 2: "failed"}
    script = (slurm / "1000.sh").read_text(encoding="utf-8")
    for line in ("partition=gpu", "mem=4GB", "cpus-per-task=1", "array=0-1%2", "signal=USR2@120", "time=60"):
        assert f"#SBATCH --{line}\n" in script
    assert "gpus-per-node" not in script
    assert "\nexport FROM_SETUP=1\n" in script


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGHUP])
def test_jobs_of_slurm_outlive_the_command_and_are_found_again(
    tiny: list[str], slurm: Path, tmp_path: Path, number: signal.Signals
) -> None:
    sweep = tmp_path / "sweep"
    asked = [SLURM, f"sweep_dir={sweep}", "seed=1", *ENDLESS]
    parent = start(tiny, *asked)
    wait_for(lambda: has_saved(sweep, 1))
    parent.send_signal(number)
    parent.communicate(timeout=60)
    assert not (slurm / "scancel.log").exists()
    (pid,) = slurm.glob("*.pid")

    # The scheduler preempts the job, which saves, waits and continues.
    os.kill(int(pid.read_text(encoding="utf-8")), signal.SIGUSR2)
    wait_for(lambda: status_of_one(sweep)["status"] == "queued")
    reached = steps(sweep)[-1]
    wait_for(lambda: steps(sweep)[-1] > reached)
    process = status_of_one(sweep)["process_id"]

    parent = start(tiny, *asked)
    read_until(parent, " on slurm 1000")
    reached = steps(sweep)[-1]
    wait_for(lambda: steps(sweep)[-1] > reached + 200)
    assert status_of_one(sweep)["process_id"] == process, "the job that ran goes on"
    assert not list(slurm.glob("1001*")), "and no other was submitted"
    parent.send_signal(signal.SIGINT)
    stdout, stderr = parent.communicate(timeout=90)
    assert parent.returncode == 130, stdout + stderr
    assert status_of_one(sweep)["status"] == "interrupted"
    assert "SIGTERM in epoch" in status_of_one(sweep)["reason"], "it has saved"
    assert not list(sweep.glob("jobs/*/slurm.json")), "the record of SLURM is removed"
    wait_for(lambda: not processes_of(sweep), 30)


@pytest.mark.slow
def test_a_preempted_job_is_requeued_by_the_later_signal_or_by_slurm(
    tiny: list[str], slurm: Path, tmp_path: Path
) -> None:
    sweep = tmp_path / "sweep"
    parent = start(tiny, SLURM, f"sweep_dir={sweep}", "seed=1", *ENDLESS)
    wait_for(lambda: has_saved(sweep, 1))

    small_slurm.send(slurm, "1000", signal.SIGTERM)
    wait_for(lambda: status_of_one(sweep)["status"] == "interrupted")
    reached = steps(sweep)[-1]
    # Longer than it takes to notice the end of the job's own process.
    time.sleep(2)
    os.kill(int((slurm / "1000.pid").read_text(encoding="utf-8")), signal.SIGUSR2)
    wait_for(lambda: steps(sweep)[-1] > reached)

    subprocess.run([slurm / "scontrol", "--preempt", "1000"], check=True)
    wait_for(lambda: status_of_one(sweep)["status"] == "interrupted")
    reached = steps(sweep)[-1]
    wait_for(lambda: steps(sweep)[-1] > reached)
    assert parent.poll() is None, "the sweep still watches it"
    assert not list(slurm.glob("1001*")), "and has submitted no other"

    subprocess.run([slurm / "scancel", "1000"], check=True)
    stdout, stderr = parent.communicate(timeout=120)
    assert parent.returncode == 1, stdout + stderr
    assert status_of_one(sweep)["status"] == "interrupted", "it was cancelled and has not failed"
    assert "SIGTERM in epoch" in status_of_one(sweep)["reason"]
    assert steps(sweep) == sorted(steps(sweep)), "rows of before and after"


@pytest.mark.slow
def test_a_job_that_slurm_does_not_requeue_can_be_continued(tiny: list[str], slurm: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    parent = start(tiny, SLURM, f"sweep_dir={sweep}", "seed=1", *ENDLESS)
    wait_for(lambda: has_saved(sweep, 1))
    (slurm / "norequeue").touch()
    os.kill(int((slurm / "1000.pid").read_text(encoding="utf-8")), signal.SIGUSR2)
    stdout, stderr = parent.communicate(timeout=90)
    assert parent.returncode == 1, stdout + stderr
    assert status_of_one(sweep)["status"] == "interrupted", stdout
    assert "'scontrol', 'requeue', '1000'" in status_of_one(sweep)["reason"]


@pytest.mark.slow
def test_jobs_accepted_by_slurm_are_cancelled_after_a_failure(
    tiny: list[str], slurm: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "first").mkdir()
    sbatch = tmp_path / "first" / "sbatch"
    monkeypatch.setenv("PATH", f"{tmp_path}/first{os.pathsep}{os.environ['PATH']}")
    obstacle = "for job in jobs/*seed-2*; do rm $job/slurm.json; mkdir $job/slurm.json; done"
    for happens, code in {"kill -INT $PPID": 130, obstacle: 2}.items():
        sweep = tmp_path / f"sweep{code}"
        sbatch.write_text(f'#!/bin/sh\n{slurm}/sbatch "$@"\ncd {sweep}\n{happens}\n', encoding="utf-8")
        sbatch.chmod(0o755)
        parent = start(tiny, SLURM, f"sweep_dir={sweep}", "seed=1,2", *ENDLESS)
        stdout, stderr = parent.communicate(timeout=120)
        assert parent.returncode == code, stdout + stderr
        assert set(statuses(sweep).values()) == {"interrupted"}, stdout + stderr
        wait_for(lambda: not processes_of(tmp_path), 30)
    calls = (slurm / "scancel.log").read_text(encoding="utf-8").splitlines()
    assert calls == ["1000_0 1000_1", "1001_0 1001_1"], "one command for all"


@pytest.mark.parametrize(
    ("state", "has_ended"),
    [
        *((state, True) for state in ("CANCELLED", "COMPLETED", "FAILED", "OUT_OF_MEMORY", "TIMEOUT")),
        # SLURM has these two in the queue only if it does not start the job again.
        *((state, True) for state in ("PREEMPTED", "NODE_FAIL")),
        *((state, False) for state in ("PENDING", "RUNNING", "SUSPENDED", "RESIZING", "REQUEUED", "A NEW ONE")),
        *((state, False) for state in ("COMPLETING", "STAGE_OUT")),
    ],
)
def test_a_job_of_slurm_has_ended_when_the_queue_reports_it(
    slurm: Path, tmp_path: Path, state: str, has_ended: bool
) -> None:
    from rnnexp.compat.submitit import SlurmJob

    file = slurm / "7000.state"
    file.write_text(state, encoding="utf-8")
    handle = SlurmJob(tmp_path, "7000")
    handle.watcher.clear()
    assert handle.done(force_check=True) == has_ended
    if not has_ended:
        file.write_text("COMPLETED", encoding="utf-8")
        time.sleep(0.01)
        assert handle.done(force_check=True), "the earlier state is not final"


def test_accounting_says_how_a_job_ended_that_the_queue_has_forgotten(slurm: Path, tmp_path: Path) -> None:
    from rnnexp.compat.submitit import GONE, SlurmJob

    ends = {"7200": "OUT_OF_MEMORY", "7201_3": "CANCELLED by 1000", "7202": "RUNNING"}
    for job, state in ends.items():
        (slurm / f"{job}.ended").write_text(state, encoding="utf-8")
    handles = [SlurmJob(tmp_path, job) for job in (*ends, "7203")]
    handles[0].watcher.clear()
    assert [handle.done(force_check=True) for handle in handles] == [True] * 4
    # Accounting keeps the last state of jobs that SLURM has lost.
    assert [handle.state for handle in handles] == ["OUT_OF_MEMORY", "CANCELLED", GONE, GONE]


def test_nothing_is_known_while_slurm_does_not_answer(slurm: Path, tmp_path: Path) -> None:
    from rnnexp.compat.submitit import SlurmJob

    (slurm / "7300.ended").write_text("FAILED", encoding="utf-8")
    (slurm / "away").touch()
    handle = SlurmJob(tmp_path, "7300")
    handle.watcher.clear()
    assert not handle.done(force_check=True)
    assert "Unable to contact slurm controller" in handle.watcher.error
    (slurm / "away").unlink()
    time.sleep(0.01)
    assert handle.done(force_check=True)
    assert not handle.watcher.error


@pytest.mark.slow
def test_a_sweep_waits_while_slurm_does_not_answer(tiny: list[str], slurm: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    parent = start(tiny, SLURM, f"sweep_dir={sweep}", "seed=1", *ENDLESS)
    wait_for(lambda: has_saved(sweep, 1))
    away = slurm / "away"
    away.touch()
    wait_for(lambda: away.read_text(encoding="utf-8") == "asked")
    # Longer than it takes to read the answer.
    time.sleep(3)
    assert parent.poll() is None
    away.unlink()
    parent.send_signal(signal.SIGINT)
    stdout, stderr = parent.communicate(timeout=120)
    assert parent.returncode == 130, stdout + stderr
    assert stdout.count("SLURM does not answer (slurm_load_jobs error: Unable to contact slurm controller") == 1
    assert status_of_one(sweep)["status"] == "interrupted"


def test_only_slurm_continues_a_job_of_slurm(run: Run, slurm: Path, tmp_path: Path) -> None:
    asked = [f"sweep_dir={tmp_path}/sweep", "seed=1,2", "trainer.max_steps=3", *BARE]
    assert run(*asked, FAULT % "2:raise", "-m").exit_code == 1
    (job,) = (tmp_path / "sweep").glob("jobs/*seed-2*")
    record = job / "slurm.json"
    write_json(record, {"submission": "a" * 32, "job_id": "1000"})
    (slurm / "1000.state").write_text("RUNNING", encoding="utf-8")
    for launcher in ("hydra/launcher=pool", LOCAL):
        outcome = run(launcher, *asked, "-m")
        assert outcome.exit_code == 2
        assert outcome.line == (
            "rnnexp: seed=2: SLURM may still run it: continue with hydra/launcher=submitit_slurm, which looks it up, "
            f"or if you know that it has ended, remove {record}"
        )
    assert read_json(job / "status.json")["status"] == "failed", "nothing was changed"


def test_a_damaged_record_of_slurm_blocks_nothing(run: Run, slurm: Path, tmp_path: Path) -> None:
    asked = [f"sweep_dir={tmp_path}/sweep", "seed=1,2", "trainer.max_steps=3", *BARE]
    assert run(*asked, FAULT % "2:raise", "-m").exit_code == 1
    (job,) = (tmp_path / "sweep").glob("jobs/*seed-2*")
    record = job / "slurm.json"
    number, submission = {"job_id": "1000"}, {"submission": "a" * 32}
    strange = [{"submission": name, **number} for name in ("../jobs", "", "a" * 31, "/tmp", 5)]
    wrong = [{**submission, "job_id": 1000}, number, {**submission, "job_id": "next"}, [], "x", 5, *strange]
    damaged = [b"", b'{"submission": "a"', b"\xff\xfe", b"[" * 100_000]
    for content in (*(json.dumps(each).encode() for each in wrong), *damaged):
        record.write_bytes(content)
        assert SlurmRecord.read(RunDirectory(job)) is None, content[:80]
    outcome = run(SLURM, "dry_run=true", *asked, "-m")
    assert outcome.exit_code == 0, outcome.stderr
    assert f"{record} does not name a SLURM job: seed=2 " in outcome.stdout
    write_json(record, {**submission, "job_id": "7500"})
    (slurm / "7500.state").write_text("RUNNING", encoding="utf-8")
    (slurm / "7500.script").write_text("/elsewhere/mine.sh", encoding="utf-8")
    assert "SLURM job 7500 is not that of seed=2: " in run(SLURM, "dry_run=true", *asked, "-m").stdout
    record.write_bytes(b"")
    # No SLURM job starts for a record that does not name it, so any launcher may run this one.
    assert run(*asked, "-m").exit_code == 0


@pytest.mark.slow
def test_a_job_that_slurm_killed_has_failed_with_the_reason(tiny: list[str], slurm: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    parent = start(tiny, SLURM, f"sweep_dir={sweep}", "seed=1", *ENDLESS)
    wait_for(lambda: has_saved(sweep, 1))
    (slurm / "1000.state").write_text("OUT_OF_MEMORY", encoding="utf-8")
    os.kill(int((slurm / "1000.pid").read_text(encoding="utf-8")), signal.SIGKILL)
    for process in processes_of(sweep / "jobs"):
        os.kill(process, signal.SIGKILL)
    stdout, stderr = parent.communicate(timeout=120)
    assert parent.returncode == 1, stdout + stderr
    assert "SLURM job 1000 ended as OUT_OF_MEMORY" in stdout


def test_a_missing_requirement_is_a_one_line_error(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["seed=1,2", f"sweep_dir={tmp_path}/sweep", "-m"]
    if not any((Path(place) / "sbatch").exists() for place in os.environ["PATH"].split(os.pathsep)):
        outcome = run(SLURM, *asked)
        assert outcome.exit_code == 2
        assert outcome.line.startswith(
            "rnnexp: hydra/launcher=submitit_slurm needs a machine of a SLURM cluster, and there is no sbatch here; "
        )
    (tmp_path / "bin").mkdir()
    for command in ("sbatch", "srun", "squeue"):
        (tmp_path / "bin" / command).symlink_to("/bin/true")
    with monkeypatch.context() as patch:
        patch.setenv("PATH", f"{tmp_path}/bin")
        assert ", and there is no sacct here; " in run(SLURM, *asked).line, "sacct reports why a job was killed"
    outcome = run(SLURM, "hydra.launcher.partitoin=gpu", *asked)
    assert "partitoin" in outcome.line
    for package, launcher, extra in (("submitit", LOCAL, "slurm"), ("submitit", SLURM, "slurm"), ("ray", RAY, "ray")):
        uninstall(monkeypatch, package)
        outcome = run(launcher, *asked)
        assert outcome.exit_code == 2
        assert outcome.line.startswith(f"rnnexp: {launcher} needs {package}, ")
        assert outcome.line.endswith(f'pip install -e ".[{extra}]"')


@pytest.mark.usefixtures("slurm")
def test_bad_numbers_are_refused(run: Run, tmp_path: Path) -> None:
    for launcher, name in (
        (LOCAL, "array_parallelism"),
        (LOCAL, "timeout_min"),
        (LOCAL, "max_failures"),
        (SLURM, "tasks_per_node"),
        (SLURM, "array_parallelism"),
        (SLURM, "nodes"),
        (RAY, "jobs_per_device"),
        (RAY, "num_cpus"),
    ):
        outcome = run(launcher, f"hydra.launcher.{name}=0", "seed=1,2", f"sweep_dir={tmp_path}/sweep", "-m")
        assert outcome.exit_code == 2
        assert outcome.line == f"rnnexp: hydra.launcher.{name} must be a whole number of at least 1, not 0"


def test_unsupported_settings_of_slurm_are_refused(run: Run, slurm: Path, tmp_path: Path) -> None:
    asked = [SLURM, "seed=1,2", f"sweep_dir={tmp_path}/sweep", "-m"]
    outcome = run("trainer=gpu", "trainer.devices=-1", *asked)
    assert "trainer.devices=-1 is not a number of GPUs that SLURM can allocate" in outcome.line
    outcome = run("trainer=gpu", "trainer.devices=4", "hydra.launcher.gpus_per_node=2", *asked)
    assert outcome.line.endswith("needs 4 GPUs, and there are 2")
    outcome = run("dry_run=true", *asked)
    assert outcome.exit_code == 0, outcome.stderr
    assert "to run          seed=2 on 1 core\n" in outcome.stdout
    assert not list(slurm.glob("*.sh"))


def test_launchers_do_not_slow_the_import_of_a_program() -> None:
    code = (
        "import sys, rnnexp.train; sys.argv = ['train', '--cfg', 'job', 'hydra/launcher=ray']\n"
        "try: rnnexp.train.main()\nexcept SystemExit as ended: assert not ended.code\n"
        "assert 'hydra_plugins.rnnexp.launchers' in sys.modules\n"
        "assert not {'torch', 'ray', 'submitit'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


BLOCKS = re.findall(r"```sh\n(.*?)```", PAGE, flags=re.DOTALL)
(TORCHRUN,) = (block for block in BLOCKS if block.startswith("torchrun"))
(SBATCH,) = (block for block in BLOCKS if block.startswith("#!/bin/bash"))


@pytest.mark.slow
@pytest.mark.parametrize("is_named", [False, True])
def test_the_documented_torchrun_makes_one_run(tiny: list[str], tmp_path: Path, is_named: bool) -> None:
    program, *words = shlex.split(TORCHRUN)
    place = f"paths.output_dir={tmp_path}/outputs/mine" if is_named else f"paths.outputs_dir={tmp_path}/outputs"
    command = [str(Path(sys.executable).parent / program), *words, *tiny[:-1], "trainer=ddp", "trainer.accelerator=cpu"]
    done = subprocess.run([*command, "logger=csv", place], capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stderr
    (directory,) = run_directories(tmp_path)
    assert (directory.name == "mine") == is_named
    result = read_json(directory / "result.json")
    assert (result["status"], result["device"]["num_devices"]) == ("done", 2)
    assert result["num_test_samples"] == NUM_TEST
    assert done.stdout.count("run directory: ") == 1


@pytest.mark.slow
def test_ranks_that_srun_has_started_make_one_run(tiny: list[str], tmp_path: Path) -> None:
    overrides = ["trainer=ddp", "trainer.accelerator=cpu", "trainer.devices=2", f"paths.outputs_dir={tmp_path}/outputs"]
    shared = {"JOB_ID": "4321", "JOB_NAME": "x", "NODELIST": "127.0.0.1", "NNODES": "1", "NODEID": "0"}
    shared |= {"NTASKS": "2", "NTASKS_PER_NODE": "2", "STEP_NUM_TASKS": "2"}
    ranks = [
        subprocess.Popen(
            [sys.executable, "-m", "rnnexp.train", *tiny, *overrides],
            env=os.environ | {f"SLURM_{k}": v for k, v in (shared | {"PROCID": rank, "LOCALID": rank}).items()},
            stderr=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for rank in ("0", "1")
    ]
    for rank in ranks:
        _, stderr = rank.communicate(timeout=200)
        assert rank.returncode == 0, stderr
    (directory,) = run_directories(tmp_path)
    assert read_json(directory / "result.json")["device"]["num_devices"] == 2


def test_several_nodes_need_a_launcher(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("trainer.num_nodes=2").line == (
        "rnnexp: trainer.num_nodes=2: start the processes of all nodes with srun or torchrun, see docs/clusters.md"
    )
    for name, value in {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert "2 processes were started, but trainer.devices=1 times trainer.num_nodes=1 makes 1" in run().line


def test_the_documented_batch_script_has_no_syntax_error(tmp_path: Path) -> None:
    script = tmp_path / "train.sbatch"
    script.write_text(SBATCH, encoding="utf-8")
    subprocess.run(["bash", "-n", str(script)], check=True)
    words = shlex.split(SBATCH.partition("srun ")[2].replace("\\\n", " "))
    overrides = words[words.index("rnnexp.train") + 1 :]
    with initialize_config_dir(str(config_root()), version_base="1.3"):
        config = compose("train", overrides)
    asked = dict(re.findall(r"#SBATCH --([a-z-]+)=(\S+)", SBATCH))
    assert config.trainer.num_nodes == int(asked["nodes"])
    assert config.trainer.devices == int(asked["ntasks-per-node"]) == int(asked["gpus-per-node"])
