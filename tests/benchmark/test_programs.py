"""Start-up and sweeps are measured on the real programs."""

from pathlib import Path

import pytest

from support.benchmarks import Measure, read_report


@pytest.mark.slow
def test_start_up_is_measured_on_the_real_programs(measure: Measure, tmp_path: Path) -> None:
    outcome = measure("start_up=true", "repetitions=1", "workers=[]")
    assert outcome.exit_code == 0, outcome.stderr
    start_up = read_report(tmp_path / "outputs")["start_up"]
    names = {"import torch, lightning", "first step, CSV", "first step, CSV and W&B", "train --help", "train --cfg job"}
    assert set(start_up["seconds"]) == names
    for name, (seconds,) in start_up["seconds"].items():
        assert seconds > 0
        assert start_up["median_seconds"][name] == seconds
        assert start_up["over_imports"][name]["median"] == seconds / start_up["seconds"]["import torch, lightning"][0]


@pytest.mark.slow
def test_a_sweep_is_measured_under_both_launchers(measure: Measure, tmp_path: Path) -> None:
    outcome = measure("cells=[]", "sweep_jobs=2", "repetitions=1")
    assert outcome.exit_code == 0, outcome.stderr
    assert outcome.directories == []
    sweep = read_report(tmp_path / "outputs")["sweep"]
    assert sweep["jobs"] == 2
    ((pool,), (basic,)) = sweep["seconds"].values()
    assert sweep["basic_over_pool"]["median"] == pytest.approx(basic / pool)
    assert 0 < sweep["first_step_seconds"]["median"] <= sweep["first_step_seconds"]["highest"] < pool
    assert "basic / pool" in outcome.stdout
