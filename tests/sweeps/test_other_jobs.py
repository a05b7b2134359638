"""The line about jobs of other settings in a sweep directory."""

from pathlib import Path

import pytest

from rnnexp.sweeps.devices import ResourceRequest
from rnnexp.sweeps.jobs import Job
from rnnexp.sweeps.sweep import describe_other_jobs
from rnnexp.tracking.config_file import write_yaml
from rnnexp.tracking.sweep_directory import SweepDirectory


@pytest.mark.parametrize(
    ("grid", "line"),
    [
        ([["seed=1", "trainer.max_steps=9"], ["seed=2", "trainer.max_steps=9"]], "trainer.max_steps 5, here 9"),
        ([["seed=1", "trainer.max_steps=5"], ["seed=3", "trainer.max_steps=5"]], ""),
        ([["seed=1"], ["seed=2"]], "trainer.max_steps 5, here by default"),
        ([["seed=1", "trainer.max_steps=5", "tags=[x]"], ["seed=2", "trainer.max_steps=5", "tags=[x]"]], ""),
    ],
)
def test_a_key_on_which_all_jobs_agree_differs(tmp_path: Path, grid: list[list[str]], line: str) -> None:
    sweep = SweepDirectory(tmp_path)
    earlier = sweep.job("earlier")
    earlier.path.mkdir(parents=True)
    write_yaml(earlier.overrides_file, ["seed=2", "trainer.max_steps=5"])
    jobs = [
        Job(str(index), overrides, {}, sweep.job(str(index)), ResourceRequest(1, 0))
        for index, overrides in enumerate(grid)
    ]
    found = describe_other_jobs(sweep, jobs)
    assert found == (f"{tmp_path} also holds 1 job of other settings: {line}" if line else "")
