"""A sweep as a whole: points that are the same experiment."""

from pathlib import Path

import pytest

from rnnexp.sweeps.devices import ResourceRequest
from rnnexp.sweeps.jobs import Job
from rnnexp.sweeps.sweep import describe_repetitions
from rnnexp.tracking.run_directory import RunDirectory
from support.programs import Run


def job(label: str) -> Job:
    return Job(label, [], {}, RunDirectory(Path(label)), ResourceRequest())


def test_points_that_share_a_job_are_described_in_one_line() -> None:
    first, second = job("seed=1 data.root=a"), job("seed=2 data.root=a")
    points = [[f"seed={seed}", "model=gru", f"data.root={root}"] for seed in (1, 2) for root in ("a", "b")]
    line = describe_repetitions(points, [first, first, second, second])
    assert line.startswith("2 of 4 points are the same experiment as an earlier one")
    assert line.endswith(": data.root=b as seed=1 data.root=a; data.root=b as seed=2 data.root=a")


def test_equal_points_are_described_with_all_their_overrides() -> None:
    only = job("small")
    line = describe_repetitions([["seed=1", "model=gru"], ["seed=1", "model=gru"]], [only, only])
    assert line.startswith("1 of 2 points is the same")
    assert line.endswith(": seed=1 model=gru as small")


def test_a_long_list_of_repetitions_is_cut() -> None:
    only = job("data.root=0")
    line = describe_repetitions([[f"data.root={number}"] for number in range(9)], [only] * 9)
    assert "data.root=3 as data.root=0; and 5 more" in line
    assert "data.root=4" not in line


def test_distinct_points_are_not_described() -> None:
    assert describe_repetitions([["seed=1"], ["seed=2"]], [job("seed=1"), job("seed=2")]) == ""


@pytest.mark.parametrize("key", ["data.device=auto,cpu", "data.eval_batch_size=50,100"])
def test_a_sweep_over_a_key_outside_the_identity_says_so(run: Run, key: str) -> None:
    values = key.partition("=")[2].split(",")
    name = key.partition("=")[0]
    outcome = run(key, "trainer.max_steps=1", "dry_run=true", "-m")
    assert outcome.exit_code == 0
    line = next(line for line in outcome.stdout.split("\n") if "same experiment" in line)
    assert line.endswith(f": {name}={values[1]} as {name}={values[0]}")
    assert "1 job, " in outcome.stdout
