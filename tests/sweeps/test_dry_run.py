"""A dry run lists the jobs of a sweep, the jobs that cannot run, and the estimated durations."""

import re
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from rnnexp.sweeps import dry_run
from rnnexp.sweeps.devices import ResourceRequest
from rnnexp.sweeps.dry_run import Estimate
from rnnexp.sweeps.jobs import Job
from rnnexp.tracking.run_directory import RunDirectory
from support.programs import Outcome, Run

LONG = ["data.batch_size=5", "trainer.max_epochs=1000", "dry_run=true", "-m"]
"""100 batches an epoch: far more than a trial takes."""


def estimates(outcome: Outcome) -> list[int]:
    """Return the estimated seconds of the jobs, in their order."""
    assert outcome.exit_code == 0, outcome.stderr
    lines = [line for line in outcome.stdout.splitlines() if " to run " in line]
    found = []
    for line in lines:
        match = re.search(r"(?:(\d+):)?(\d+):(\d+)$", line.rstrip())
        assert match, line
        hours, minutes, seconds = (int(part or 0) for part in match.groups())
        found.append(3600 * hours + 60 * minutes + seconds)
    return found


def test_training_with_many_batches_an_epoch_is_estimated(run: Run) -> None:
    whole, limited = estimates(run("trainer.limit_train_batches=1.0,10", *LONG))
    assert whole > 20
    assert limited < whole / 3, "a tenth of the batches"


def test_the_number_of_steps_is_respected(run: Run) -> None:
    unlimited, limited = estimates(run("trainer.max_steps=-1,1000", *LONG))
    assert unlimited > 20
    assert limited < unlimited / 20, "a hundredth of the steps"


def test_a_short_training_is_estimated(run: Run) -> None:
    assert estimates(run("trainer.max_steps=1,2", "dry_run=true", "-m")) == [0, 0]


def test_jobs_that_differ_in_the_seed_share_one_trial(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []

    def estimate(_: Any, config: Any) -> Estimate:
        tried.append((config["model"]["cell"], config["seed"]))
        return Estimate(10.0 * len(tried))

    monkeypatch.setattr(dry_run, "_try", estimate)
    monkeypatch.setattr(dry_run, "start_server", lambda: None)
    configs = [{"model": {"cell": cell}, "seed": seed} for cell in ("gru", "lstm") for seed in (1, 2, 3)]
    jobs = [Job("", [], config, RunDirectory(Path("job")), ResourceRequest()) for config in configs]
    estimates = dry_run._estimate(jobs, Console(quiet=True))
    assert tried == [("gru", 1), ("lstm", 1)]
    assert [estimates[job].seconds for job in jobs] == [10.0] * 3 + [20.0] * 3


def test_an_estimate_is_shown_as_a_duration() -> None:
    assert [str(Estimate(seconds)) for seconds in (0.2, 75, 3601, float("inf"))] == [
        *("0:00", "1:15", "1:00:01", "without end")
    ]
    assert str(Estimate(trouble="fails: no data")) == ""
