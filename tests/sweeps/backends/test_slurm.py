"""Sweeps on a SLURM cluster of this machine: what docs/clusters.md promises, with SLURM's own daemons."""

import os
import re
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.files.atomic import read_json
from support import TESTS
from support.slurm_cluster import SlurmCluster, missing_program, running_cluster
from support.sweeps import BARE, FAULT, read_until, start, statuses, wait_for

pytestmark = [
    pytest.mark.slurm,
    pytest.mark.skipif(missing_program() is not None, reason=f"{missing_program()} is not installed"),
    pytest.mark.timeout(900),
]
SLURM = "hydra/launcher=submitit_slurm"
ENDLESS = ["trainer.max_epochs=100000", "callbacks.early_stopping=null", *BARE]
STOP = "+callbacks.stop={_target_:support.probing_callbacks.StopAfterEpoch}"
# A scheduler needs seconds for each step, and the machine may run other tests.
PATIENCE = 300


@pytest.fixture(scope="module")
def shared_cluster() -> Iterator[SlurmCluster]:
    with running_cluster() as cluster:
        yield cluster


@pytest.fixture
def cluster(shared_cluster: SlurmCluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[SlurmCluster]:
    """The cluster of this module, without jobs."""
    for name, value in {**shared_cluster.environment, "PYTHONPATH": str(TESTS)}.items():
        monkeypatch.setenv(name, value)
    yield shared_cluster
    shared_cluster.call("scancel", "--user", shared_cluster.user, check=False)
    shared_cluster.wait_until_idle()


class Sweep:
    """A sweep in a process, and what its files say.

    Args:
        tiny: overrides of a small experiment.
        path: the sweep directory.
        overrides: further overrides; the same command continues with them.
    """

    def __init__(self, tiny: list[str], path: Path, *overrides: str) -> None:
        self.command = lambda *more: start(tiny, SLURM, f"sweep_dir={path}", *overrides, *more)
        self.path = path
        self.process = self.command()
        self.printed = ""

    def again(self, *more: str) -> None:
        """Give the same command again, and return when it has found the jobs that run and begins to watch them."""
        self.process = self.command(*more)
        self.printed = read_until(self.process, " to run, in ")

    def end(self, code: int, number: int | None = None) -> str:
        """Wait for the end with an exit code, after a signal if one is given, and return what was printed."""
        if number is not None:
            self.process.send_signal(number)
        stdout, stderr = self.process.communicate(timeout=PATIENCE)
        printed = self.printed + stdout + stderr
        assert self.process.returncode == code, printed
        return printed

    def end_by_ctrl_c(self) -> None:
        """End the command with Ctrl-C, on which seed 1 saves its state; its rows are those of one run."""
        self.end(130, signal.SIGINT)
        assert self.status(1)["status"] == "interrupted"
        assert self.is_one_history(1)

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate()

    def job(self, seed: int) -> Path:
        """Return the run directory of a seed."""
        (directory,) = [path for path in self.path.glob("jobs/*") if f"seed={seed}" in _overrides(path)]
        return directory

    def status(self, seed: int) -> dict[str, Any]:
        return read_json(self.job(seed) / "status.json")

    def number(self, seed: int) -> str:
        """Return the number of the SLURM job that runs a seed."""
        return str(read_json(self.job(seed) / "slurm.json")["job_id"])

    def steps(self, seed: int) -> list[int]:
        file = self.job(seed) / "metrics.csv"
        if not file.exists():
            # Nothing has been logged yet.
            return [-1]
        # Only complete lines: the last may be incomplete.
        lines = file.read_text(encoding="utf-8").rpartition("\n")[0].split("\n")[1:]
        return [int(line.split(",")[1]) for line in lines]

    def wait_until_saved(self, num_jobs: int = 1) -> None:
        self.wait_for(lambda: len(list(self.path.glob("jobs/*/checkpoints/last.ckpt"))) == num_jobs)

    def wait_for_status(self, seed: int, status: str) -> None:
        self.wait_for(lambda: self.status(seed)["status"] == status)

    def num_epochs(self, seed: int) -> int:
        """Return how many epochs have ended, in all attempts."""
        return (self.job(seed) / "output.log").read_text(encoding="utf-8").count(" ended: ")

    def wait_until_continued(self, seed: int) -> None:
        """Return when a job runs and has ended another epoch since this call."""
        ended = self.num_epochs(seed)
        self.wait_for(lambda: self.status(seed)["status"] == "running" and self.num_epochs(seed) > ended + 1)

    def wait_until_started_again(self, cluster: SlurmCluster, job: str) -> None:
        """Wait until SLURM has stopped seed 1, and return when it has started and continued it."""
        self.wait_for_status(1, "interrupted")
        cluster.start_now(job)
        self.wait_until_continued(1)

    def wait_for(self, condition: Callable[[], Any]) -> None:
        wait_for(condition, PATIENCE)

    def is_one_history(self, seed: int) -> bool:
        """Return whether the rows of all attempts follow each other."""
        steps = self.steps(seed)
        return steps == sorted(steps) and steps.count(0) == 1


def _overrides(run_directory: Path) -> str:
    return (run_directory / "overrides.yaml").read_text(encoding="utf-8")


def test_a_sweep_runs_and_reports_failures(cluster: SlurmCluster, tiny: list[str], tmp_path: Path) -> None:
    sweep = Sweep(tiny, tmp_path / "sweep", "seed=1,2,3", FAULT % "2:raise", *BARE)
    printed = sweep.end(1)
    assert statuses(sweep.path) == {1: "done", 2: "failed", 3: "done"}
    assert "division by a seed" in printed
    assert not list(sweep.path.glob("jobs/*/slurm.json"))
    assert len(re.findall(r"^\d+_[012]\|", cluster.output("sacct", "--parsable2", "--allocations"), re.M)) == 3


def test_a_job_at_its_time_limit_saves_and_continues(cluster: SlurmCluster, tiny: list[str], tmp_path: Path) -> None:
    # SLURM may signal a job up to a minute earlier than it is told to.
    limits = ["hydra.launcher.timeout_min=2", "hydra.launcher.signal_delay_s=20"]
    sweep = Sweep(tiny, tmp_path / "sweep", "seed=1", *limits, *ENDLESS)
    sweep.wait_until_saved()
    job = sweep.number(1)
    sweep.wait_for_status(1, "queued")
    assert sweep.status(1)["reason"] == "stopped by the scheduler, to be continued"
    cluster.start_now(job)
    sweep.wait_until_continued(1)
    assert cluster.num_restarts(job) == 1
    assert sweep.number(1) == job
    sweep.end_by_ctrl_c()


def test_a_preempted_job_is_requeued_by_slurm_and_continues(
    cluster: SlurmCluster, tiny: list[str], tmp_path: Path
) -> None:
    sweep = Sweep(tiny, tmp_path / "sweep", "seed=1", *ENDLESS)
    sweep.wait_until_saved()
    job = sweep.number(1)
    urgent = ["sbatch", "--partition=urgent", "--nodes=2", "--exclusive", "--wrap", "sleep 5"]
    cluster.call(*urgent, "--output", str(tmp_path / "urgent.log"))
    sweep.wait_until_started_again(cluster, job)
    assert cluster.num_restarts(job) == 1
    # An operator may requeue a job as well.
    cluster.call("scontrol", "requeue", job)
    sweep.wait_until_started_again(cluster, job)
    assert sweep.process.poll() is None, "the sweep still watches it"
    sweep.end_by_ctrl_c()


def test_a_cancelled_job_is_interrupted_and_the_others_go_on(
    cluster: SlurmCluster, tiny: list[str], tmp_path: Path
) -> None:
    sweep = Sweep(tiny, tmp_path / "sweep", "seed=1,2", *ENDLESS)
    sweep.wait_until_saved(2)
    cluster.call("scancel", sweep.number(1))
    sweep.wait_for_status(1, "interrupted")
    sweep.wait_for(lambda: not (sweep.job(1) / "slurm.json").exists())
    sweep.wait_until_continued(2)
    assert statuses(sweep.path) == {1: "interrupted", 2: "running"}
    sweep.end(130, signal.SIGINT)
    sweep.again(STOP)
    sweep.end(0)
    assert statuses(sweep.path) == {1: "done", 2: "done"}
    assert sweep.is_one_history(1)
    assert sweep.is_one_history(2)


def test_the_jobs_of_a_node_that_goes_down_continue_on_another(
    cluster: SlurmCluster, tiny: list[str], tmp_path: Path
) -> None:
    sweep = Sweep(tiny, tmp_path / "sweep", "seed=1", *ENDLESS)
    sweep.wait_until_saved()
    job = sweep.number(1)
    node = cluster.node_of(job)
    cluster.call("scontrol", "update", f"nodename={node}", "state=down", "reason=test")
    sweep.wait_until_started_again(cluster, job)
    assert cluster.node_of(job) != node
    cluster.call("scontrol", "update", f"nodename={node}", "state=resume")
    sweep.end_by_ctrl_c()


def test_a_lost_node_whose_processes_still_run_changes_no_result(
    cluster: SlurmCluster, tiny: list[str], tmp_path: Path
) -> None:
    sweep = Sweep(tiny, tmp_path / "sweep", "seed=1", *ENDLESS)
    sweep.wait_until_saved()
    job = sweep.number(1)
    node = cluster.node_of(job)
    # The processes of the job continue: SLURM cannot end them, and starts the job on another node.
    cluster.kill(node)
    sweep.wait_for(lambda: cluster.job_state(job) == "PENDING")
    cluster.start_now(job)
    sweep.wait_for(lambda: cluster.node_of(job) not in ("", node))
    cluster.start_node(node)
    sweep.wait_for(lambda: cluster.node_states()[node] in ("idle", "mix"))
    sweep.wait_until_continued(1)
    sweep.end(130, signal.SIGINT)
    assert sweep.is_one_history(1)


def test_the_sweep_continues_while_slurmctld_is_away(cluster: SlurmCluster, tiny: list[str], tmp_path: Path) -> None:
    sweep = Sweep(tiny, tmp_path / "sweep", "seed=1,2", STOP, *ENDLESS)
    sweep.wait_for(lambda: len(list(sweep.path.glob("jobs/*/slurm.json"))) == 2)
    sweep.wait_for(lambda: set(statuses(sweep.path).values()) <= {"running", "done"})
    cluster.kill("slurmctld")
    sweep.wait_for(lambda: set(statuses(sweep.path).values()) == {"done"})
    assert sweep.process.poll() in (None, 0)
    cluster.start_controller()
    sweep.end(0)
    assert not list(sweep.path.glob("jobs/*/slurm.json"))


def test_accounting_is_not_needed(cluster: SlurmCluster, tiny: list[str], tmp_path: Path) -> None:
    cluster.kill("slurmdbd")
    try:
        sweep = Sweep(tiny, tmp_path / "sweep", "seed=1,2", *ENDLESS)
        sweep.wait_until_saved(2)
        sweep.kill()
        sweep.again()
        cluster.call("scancel", sweep.number(1))
        sweep.wait_for(lambda: not (sweep.job(1) / "slurm.json").exists())
        assert sweep.status(1)["status"] == "interrupted"
        sweep.end(130, signal.SIGINT)
        assert statuses(sweep.path) == {1: "interrupted", 2: "interrupted"}
    finally:
        cluster.start_accounting()


def test_jobs_outlive_the_command_and_are_found_again(cluster: SlurmCluster, tiny: list[str], tmp_path: Path) -> None:
    sweep = Sweep(tiny, tmp_path / "sweep", "seed=1,2,3,4,5", *ENDLESS)
    # Two nodes with two cores each: the fifth job waits.
    sweep.wait_until_saved(4)
    numbers = {sweep.number(seed) for seed in range(1, 6)}
    sweep.kill()
    sweep.again()
    sweep.wait_until_continued(1)
    assert {sweep.number(seed) for seed in range(1, 6)} == numbers
    assert cluster.num_jobs() == 5, "no other job was submitted"
    printed = sweep.end(130, signal.SIGINT)
    assert "submitted" not in printed
    assert " on slurm " in printed
    assert set(statuses(sweep.path).values()) == {"interrupted"}
    assert cluster.num_jobs() == 0


def dies_while_submitting(place: Path, options: str, moved: str) -> dict[str, str]:
    """Return the variables with which a command dies after sbatch, when SLURM has the jobs.

    submitit moves the file of each job to its place after sbatch has returned.

    Args:
        place: a new directory for the command in place of sbatch.
        options: further options of sbatch.
        moved: the arguments of `ls` that list the files which submitit has moved.
    """
    place.mkdir()
    script = f"""#!/bin/bash
number=$({shutil.which("sbatch")} {options} "$@" | grep -o '[0-9]*$')
cd "$(dirname "$1")" || exit
index=0
for file in $(ls {moved}); do
  mv "$file" "${{number}}_${{index}}_submitted.pkl"
  index=$((index + 1))
done
kill -KILL $PPID
"""
    (place / "sbatch").write_text(script, encoding="utf-8")
    (place / "sbatch").chmod(0o755)
    return {"PATH": f"{place}{os.pathsep}{os.environ['PATH']}"}


@pytest.mark.usefixtures("cluster")
def test_of_an_array_half_submitted_the_jobs_that_run_are_found(
    tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", dies_while_submitting(tmp_path / "dies", "", "*.pkl | head -n 1")["PATH"])
        sweep = Sweep(tiny, tmp_path / "sweep", "seed=1,2,3", *ENDLESS)
        sweep.end(-signal.SIGKILL)
    sweep.wait_until_saved()
    (record,) = [file for file in sweep.path.glob("jobs/*/slurm.json") if read_json(file)["job_id"]]
    first = read_json(record)
    sweep.again()
    sweep.wait_until_saved(3)
    assert read_json(record) == first
    assert len({sweep.number(seed) for seed in (1, 2, 3)}) == 3
    sweep.end(130, signal.SIGINT)
    assert set(statuses(sweep.path).values()) == {"interrupted"}
    assert all(sweep.is_one_history(seed) for seed in (1, 2, 3))


def test_a_job_that_was_submitted_again_does_not_run_twice(
    cluster: SlurmCluster, tiny: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setenv("PATH", dies_while_submitting(tmp_path / "dies", "--hold", "*.pkl")["PATH"])
        sweep = Sweep(tiny, tmp_path / "sweep", "seed=1,2", *ENDLESS)
        sweep.end(-signal.SIGKILL)
    (lost,) = {
        line.partition("_")[0] for line in cluster.output("squeue", "--noheader", "--array", "--format=%i").split()
    }
    sweep.again()
    sweep.wait_until_saved(2)
    processes = [sweep.status(seed)["process_id"] for seed in (1, 2)]
    cluster.call("scontrol", "release", lost)
    sweep.wait_for(lambda: not cluster.output("squeue", "--noheader", f"--jobs={lost}"))
    logs = [file.read_text(encoding="utf-8") for file in sweep.path.glob(f"submitit/*/{lost}_*.err")]
    assert len(logs) == 2
    assert all("does not name its submission" in log for log in logs)
    assert [sweep.status(seed)["process_id"] for seed in (1, 2)] == processes
    sweep.end(130, signal.SIGINT)
    assert set(statuses(sweep.path).values()) == {"interrupted"}
