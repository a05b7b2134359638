"""Sweeps on a cluster of Ray with several nodes, of which one is lost, or whose command is killed."""

import signal
import subprocess
from collections import Counter
from pathlib import Path

import pytest

from rnnexp.core.files.atomic import read_json
from support.ray_cluster import RayCluster, running_ray
from support.sweeps import BARE, processes_of, read_until, start, statuses, wait_for

pytest.importorskip("ray")
pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]
EPOCHS = 100
LONG = ["seed=1,2", f"trainer.max_epochs={EPOCHS}", "callbacks.early_stopping=null", *BARE]


def sweep_on(address: str, tiny: list[str], sweep: Path, *overrides: str) -> "subprocess.Popen[str]":
    """Start a sweep whose jobs do not end before `let_end`."""
    ray = ["hydra/launcher=ray", f"hydra.launcher.address={address}"]
    slow = f"+callbacks.slow={{_target_:support.probing_callbacks.SlowUntil,file:{sweep}.go}}"
    return start(tiny, *ray, f"sweep_dir={sweep}", slow, *LONG, *overrides)


def lose_a_node(cluster: RayCluster, sweep: Path) -> None:
    """Lose the node of one job, and let the other job end when the first has noticed it."""
    cluster.lose(0)
    wait_for(lambda: set(statuses(sweep).values()) != {"running"}, 300)
    let_end(sweep)


def let_end(sweep: Path) -> None:
    sweep.with_suffix(".go").touch()


def wait_until_saved(sweep: Path) -> None:
    wait_for(lambda: len(list(sweep.glob("jobs/*/checkpoints/last.ckpt"))) == 2, 300)


def require_complete(sweep: Path) -> Counter[int]:
    """Fail unless both jobs are done and have each step once. Return how many jobs took how many attempts."""
    assert statuses(sweep) == {1: "done", 2: "done"}
    for file in sweep.glob("jobs/*/metrics.csv"):
        rows = [line.split(",") for line in file.read_text(encoding="utf-8").split("\n")[:-1]]
        loss = rows[0].index("train/loss")
        steps = [int(row[1]) for row in rows[1:] if row[loss]]
        assert steps == sorted(set(steps))
    assert {read_json(file)["num_epochs"] for file in sweep.glob("jobs/*/result.json")} == {EPOCHS}
    return Counter(read_json(file)["attempts"] for file in sweep.glob("jobs/*/status.json"))


def test_the_job_of_a_lost_node_continues_on_another(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    with running_ray(tmp_path, 1, 1) as cluster:
        parent = sweep_on(cluster.address, tiny, sweep, "hydra.launcher.retries=1")
        wait_until_saved(sweep)
        lose_a_node(cluster, sweep)
        stdout, stderr = parent.communicate(timeout=600)
    assert parent.returncode == 0, stdout + stderr
    assert require_complete(sweep) == {1: 1, 2: 1}
    assert stdout.count("again  seed=") == 1, stdout
    assert not processes_of(sweep)


def test_the_job_of_a_lost_node_continues_with_the_next_command(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    with running_ray(tmp_path, 1, 1) as cluster:
        parent = sweep_on(cluster.address, tiny, sweep)
        wait_until_saved(sweep)
        lose_a_node(cluster, sweep)
        stdout, stderr = parent.communicate(timeout=600)
        assert parent.returncode == 1, stdout + stderr
        assert Counter(statuses(sweep).values())["done"] == 1
        parent = sweep_on(cluster.address, tiny, sweep)
        stdout, stderr = parent.communicate(timeout=600)
    assert parent.returncode == 0, stdout + stderr
    assert require_complete(sweep) == {1: 1, 2: 1}
    assert stdout.count(", continued") == 1


def test_a_sweep_continues_on_another_cluster_after_its_head_was_lost(tiny: list[str], tmp_path: Path) -> None:
    sweep = tmp_path / "sweep"
    with running_ray(tmp_path, 1, 1) as cluster:
        parent = sweep_on(cluster.address, tiny, sweep, "hydra.launcher.retries=1")
        wait_until_saved(sweep)
        cluster.lose(None)
        stdout, stderr = parent.communicate(timeout=600)
        assert parent.returncode != 0, stdout + stderr
        assert set(statuses(sweep).values()) <= {"interrupted", "failed", "running"}
    let_end(sweep)
    with running_ray(tmp_path, 1, 1) as cluster:
        parent = sweep_on(cluster.address, tiny, sweep)
        stdout, stderr = parent.communicate(timeout=600)
    assert parent.returncode == 0, stdout + stderr
    require_complete(sweep)
    assert not processes_of(sweep)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_the_next_command_continues_after_the_command_has_ended(
    tiny: list[str], tmp_path: Path, number: signal.Signals
) -> None:
    sweep = tmp_path / "sweep"
    with running_ray(tmp_path, 1, 1) as cluster:
        parent = sweep_on(cluster.address, tiny, sweep)
        wait_until_saved(sweep)
        parent.send_signal(number)
        parent.communicate(timeout=300)
        parent = sweep_on(cluster.address, tiny, sweep)
        printed = read_until(parent, ", continued")
        let_end(sweep)
        stdout, stderr = parent.communicate(timeout=600)
    assert parent.returncode == 0, printed + stdout + stderr
    assert require_complete(sweep) == {2: 2}
    assert (printed + stdout).count(", continued") == 2, printed + stdout
    assert not processes_of(sweep)
