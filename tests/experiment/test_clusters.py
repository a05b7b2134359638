"""A sweep through an engine that is not ours: the same files and statuses, whoever runs its jobs."""

import contextlib
import os
import re
import shlex
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hydra import compose, initialize_config_dir

from conftest import NUM_TEST, Run, run_directories
from experiment import small_slurm
from experiment.test_pool import BARE, FAULT, processes_of, start, statuses, wait_for
from rnnexp.files import read_json
from rnnexp.launch.configuration import config_root

PAGE = (Path(__file__).parents[2] / "docs" / "clusters.md").read_text()
LOCAL, SLURM, RAY = (f"hydra/launcher={name}" for name in ("submitit_local", "submitit_slurm", "ray"))
ENDLESS = ["trainer.max_epochs=100000", "callbacks.early_stopping=null", *BARE]


@pytest.fixture(autouse=True)
def _callbacks_of_tests(monkeypatch: pytest.MonkeyPatch) -> None:
    # Jobs of a cluster share an environment, not the path of a process.
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[1]))


@pytest.fixture
def slurm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    small_slurm.install(tmp_path / "slurm")
    monkeypatch.setenv("PATH", f"{tmp_path}/slurm{os.pathsep}{os.environ['PATH']}")
    return tmp_path / "slurm"


def task_of_submitit(folder: Path) -> int:
    """The process that submitit calls the job in."""
    found = []
    for entry in Path("/proc").iterdir():
        # Others end while this looks.
        with contextlib.suppress(OSError):
            words = (entry / "cmdline").read_bytes().split(b"\0") if entry.name.isdigit() else []
            if b"submitit.core._submit" in words and str(folder).encode() in words:
                found.append(int(entry.name))
    assert len(found) == 1
    return found[0]


def status_of_one(sweep: Path) -> dict[str, Any]:
    (file,) = sweep.glob("jobs/*/status.json")
    return read_json(file)


def steps(sweep: Path) -> list[int]:
    (file,) = sweep.glob("jobs/*/metrics.csv")
    # Whole lines: the last may be half written.
    return [int(line.split(",")[1]) for line in file.read_text().rpartition("\n")[0].splitlines()[1:]]


def has_saved(sweep: Path, number: int) -> bool:
    return len(list(sweep.glob("jobs/*/checkpoints/last.ckpt"))) == number


def test_submitit_runs_jobs_and_runs_none_twice(run: Run, tmp_path: Path) -> None:
    asked = ["seed=1,2", LOCAL, f"sweep_dir={tmp_path}/sweep", "trainer.max_steps=2", *BARE]
    outcome = run(*asked, "-m")
    assert outcome.exit_code == 0, outcome.stderr
    assert statuses(tmp_path / "sweep") == {1: "done", 2: "done"}
    for directory in outcome.directories:
        assert read_json(directory / "result.json")["num_steps"] == 2
    assert "2 jobs, 0 to run" in run(*asked, "-m").stdout


@pytest.mark.slow
def test_a_job_that_fails_costs_one_and_is_run_again(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = ["seed=1,2,3", LOCAL, f"sweep_dir={sweep}", *BARE]
    first = run(*asked, FAULT % "2:raise,3:kill", "-m")
    assert first.exit_code == 1
    assert statuses(sweep) == {1: "done", 2: "failed", 3: "failed"}
    assert "killed with SIGKILL, by somebody or because the machine ran out of memory" in first.stdout
    assert "| rnnexp: a bug, ZeroDivisionError: division by a seed" in first.stdout
    again = run(*asked, "-m")
    assert again.exit_code == 0, again.stderr
    assert "3 jobs, 2 to run" in again.stdout


@pytest.mark.slow
def test_stop_means_stop_and_what_hangs_has_failed(tiny: list[str], tmp_path: Path) -> None:
    asked = [LOCAL, "seed=1,2", FAULT % "1:hang,2:hang", *BARE, "hydra.launcher.array_parallelism=1"]
    limits = ["hydra.launcher.on_error=stop", "hydra.launcher.job_timeout=15"]
    parent = start(tiny, f"sweep_dir={tmp_path}/sweep", *asked, *limits)
    stdout, stderr = parent.communicate(timeout=120)
    assert parent.returncode == 1, stdout + stderr
    assert sorted(statuses(tmp_path / "sweep").values()) == ["failed", "queued"]
    assert ": ran longer than job_timeout=15 seconds" in stdout
    assert not processes_of(tmp_path / "sweep")


@pytest.mark.slow
def test_a_preempted_job_goes_on_and_the_sweep_can_be_interrupted(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    parent = start(tiny, LOCAL, f"sweep_dir={sweep}", "seed=1", *ENDLESS)
    wait_for(lambda: has_saved(sweep, 1))
    os.kill(task_of_submitit(sweep / "submitit"), signal.SIGUSR2)
    wait_for(lambda: status_of_one(sweep)["status"] == "queued")
    assert status_of_one(sweep)["reason"] == "stopped by the scheduler, to be continued"
    reached = steps(sweep)[-1]
    wait_for(lambda: steps(sweep)[-1] > reached)
    parent.send_signal(signal.SIGINT)
    stdout, stderr = parent.communicate(timeout=90)
    assert parent.returncode == 130, stdout + stderr
    assert status_of_one(sweep)["status"] == "interrupted"
    assert "SIGTERM in epoch" in status_of_one(sweep)["reason"]
    assert not processes_of(sweep)
    assert steps(sweep) == sorted(steps(sweep)), "rows of before and after"
    assert steps(sweep).count(0) == 1


@pytest.mark.slow
def test_a_job_out_of_time_too_often_can_still_be_continued(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    # What ends within submitit's ten minutes of tolerance has run out of time.
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
def test_ray_runs_jobs_and_leaves_nothing_behind(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    before = ray_processes()
    asked = [RAY, f"sweep_dir={sweep}", "seed=1,2", FAULT % "2:kill", *BARE]
    parent = start(tiny, *asked)
    stdout, stderr = parent.communicate(timeout=240)
    assert parent.returncode == 1, stdout + stderr
    assert statuses(sweep) == {1: "done", 2: "failed"}
    assert "killed with SIGKILL" in stdout
    assert stderr.startswith("rnnexp: 1 failed of 2 jobs"), stderr
    wait_for(lambda: ray_processes() == before, 30)


@pytest.mark.slow
def test_ctrl_c_stops_the_tasks_of_ray_which_go_on_where_they_were(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    before = ray_processes()
    asked = [RAY, f"sweep_dir={sweep}", "seed=1,2", "hydra.launcher.num_cpus=1", *ENDLESS]
    parent = start(tiny, *asked)
    wait_for(lambda: has_saved(sweep, 1))
    parent.send_signal(signal.SIGINT)
    stdout, stderr = parent.communicate(timeout=120)
    assert parent.returncode == 130, stdout + stderr
    assert f"continue with the same command and sweep_dir={sweep}" in stdout
    assert statuses(sweep) == {1: "interrupted", 2: "interrupted"}
    wait_for(lambda: ray_processes() == before, 30)
    parent = start(tiny, *asked, "+callbacks.stop={_target_:experiment.probing_callbacks.StopAfterEpoch}")
    stdout, stderr = parent.communicate(timeout=240)
    assert parent.returncode == 0, stdout + stderr
    assert stdout.count(", continued") == 1


def ray_processes() -> set[int]:
    listing = subprocess.run(["ps", "-eo", "pid,args"], capture_output=True, text=True, check=True).stdout
    return {int(line.split()[0]) for line in listing.splitlines() if "raylet" in line or "gcs_server" in line}


@pytest.mark.slow
def test_slurm_runs_an_array_and_says_what_killed_a_job(tiny: list[str], slurm: Path, tmp_path: Path) -> None:
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
    script = (slurm / "1000.sh").read_text()
    for line in ("partition=gpu", "mem=4GB", "cpus-per-task=1", "array=0-1%2", "signal=USR2@120", "time=60"):
        assert f"#SBATCH --{line}\n" in script
    assert "gpus-per-node" not in script
    assert "\nexport FROM_SETUP=1\n" in script


@pytest.mark.slow
def test_jobs_of_slurm_outlive_the_command_which_finds_them_again(tiny: list[str], slurm: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    asked = [SLURM, f"sweep_dir={sweep}", "seed=1", *ENDLESS]
    parent = start(tiny, *asked)
    wait_for(lambda: has_saved(sweep, 1))
    parent.kill()
    parent.communicate()
    (pid,) = slurm.glob("*.pid")

    # The scheduler needs the machine: the job saves, waits and goes on.
    os.kill(int(pid.read_text()), signal.SIGUSR2)
    wait_for(lambda: status_of_one(sweep)["status"] == "queued")
    reached = steps(sweep)[-1]
    wait_for(lambda: steps(sweep)[-1] > reached)

    parent = start(tiny, *asked)
    wait_for(lambda: (slurm / "1000.state").read_text() == "RUNNING")
    process = status_of_one(sweep)["process_id"]
    reached = steps(sweep)[-1]
    wait_for(lambda: steps(sweep)[-1] > reached + 200)
    assert status_of_one(sweep)["process_id"] == process, "the job that ran goes on"
    assert not list(slurm.glob("1001*")), "and no other was submitted"
    parent.send_signal(signal.SIGINT)
    stdout, stderr = parent.communicate(timeout=90)
    assert parent.returncode == 130, stdout + stderr
    assert " on slurm 1000" in stdout
    assert status_of_one(sweep)["status"] == "interrupted"
    wait_for(lambda: not processes_of(sweep), 30)


@pytest.mark.slow
def test_a_job_that_slurm_killed_failed_and_why(tiny: list[str], slurm: Path, tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    parent = start(tiny, SLURM, f"sweep_dir={sweep}", "seed=1", *ENDLESS)
    wait_for(lambda: has_saved(sweep, 1))
    (slurm / "1000.state").write_text("OUT_OF_MEMORY")
    os.kill(int((slurm / "1000.pid").read_text()), signal.SIGKILL)
    for process in processes_of(sweep / "jobs"):
        os.kill(process, signal.SIGKILL)
    stdout, stderr = parent.communicate(timeout=120)
    assert parent.returncode == 1, stdout + stderr
    assert "SLURM job 1000 ended as OUT_OF_MEMORY" in stdout


def test_what_is_missing_is_one_line(run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = ["seed=1,2", f"sweep_dir={tmp_path}/sweep", "-m"]
    if not any((Path(place) / "sbatch").exists() for place in os.environ["PATH"].split(os.pathsep)):
        outcome = run(SLURM, *asked)
        assert outcome.exit_code == 2
        assert outcome.line.startswith(
            "rnnexp: hydra/launcher=submitit_slurm needs a machine of a SLURM cluster, and there is no sbatch here; "
        )
    outcome = run(SLURM, "hydra.launcher.partitoin=gpu", *asked)
    assert "partitoin" in outcome.line
    monkeypatch.setitem(sys.modules, "submitit", None)
    monkeypatch.setitem(sys.modules, "ray", None)
    for launcher, needs in {
        LOCAL: "submitit_local needs submitit: pip install rnnexp[slurm]",
        SLURM: "submitit_slurm needs submitit: pip install rnnexp[slurm]",
        RAY: "ray needs ray: pip install rnnexp[ray]",
    }.items():
        outcome = run(launcher, *asked)
        assert outcome.exit_code == 2
        assert outcome.line == f"rnnexp: hydra/launcher={needs}"


def test_what_slurm_cannot_be_asked_for_is_refused(run: Run, slurm: Path, tmp_path: Path) -> None:
    asked = [SLURM, "seed=1,2", f"sweep_dir={tmp_path}/sweep", "-m"]
    outcome = run("trainer=gpu", "trainer.devices=-1", *asked)
    assert "trainer.devices=-1 is no number of GPUs that SLURM could be asked for" in outcome.line
    outcome = run("trainer=gpu", "trainer.devices=4", "hydra.launcher.gpus_per_node=2", *asked)
    assert outcome.line.endswith("needs 4 GPUs, and there are 2")
    outcome = run("dry_run=true", *asked)
    assert outcome.exit_code == 0, outcome.stderr
    assert "to run          seed=2 on 1 core\n" in outcome.stdout
    assert not list(slurm.glob("*.sh"))


def test_launchers_cost_a_program_nothing() -> None:
    code = (
        "import sys, rnnexp.train; sys.argv = ['train', '--cfg', 'job', 'hydra/launcher=ray']\n"
        "try: rnnexp.train.main()\nexcept SystemExit as ended: assert not ended.code\n"
        "assert 'hydra_plugins.rnnexp_cluster.cluster_launchers' in sys.modules\n"
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


def test_several_nodes_need_somebody_to_start_them(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    assert run("trainer.num_nodes=2").line == (
        "rnnexp: trainer.num_nodes=2: start the processes of all nodes with srun or torchrun, see docs/clusters.md"
    )
    for name, value in {"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "2"}.items():
        monkeypatch.setenv(name, value)
    assert "2 processes were started, but trainer.devices=1 times trainer.num_nodes=1 makes 1" in run().line


def test_the_documented_batch_script_is_sound(tmp_path: Path) -> None:
    script = tmp_path / "train.sbatch"
    script.write_text(SBATCH)
    subprocess.run(["bash", "-n", str(script)], check=True)
    words = shlex.split(SBATCH.partition("srun ")[2].replace("\\\n", " "))
    overrides = words[words.index("rnnexp.train") + 1 :]
    with initialize_config_dir(str(config_root()), version_base="1.3"):
        config = compose("train", overrides)
    asked = dict(re.findall(r"#SBATCH --([a-z-]+)=(\S+)", SBATCH))
    assert config.trainer.num_nodes == int(asked["nodes"])
    assert config.trainer.devices == int(asked["ntasks-per-node"]) == int(asked["gpus-per-node"])
