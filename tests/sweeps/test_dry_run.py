"""A dry run lists the jobs of a sweep, the jobs that cannot run, and the estimated durations."""

import re
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
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
"""100 batches an epoch: far more than an estimate takes."""


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
    seconds = estimates(run("trainer.max_steps=1,2", "dry_run=true", "-m"))
    assert len(seconds) == 2
    assert max(seconds) < 10, "of a step that takes milliseconds on an idle machine"


def test_jobs_that_differ_in_the_seed_share_one_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[Any] = []

    def estimate(config: Any, _: float) -> Estimate:
        tried.append((config["model"]["cell"], config["seed"]))
        return Estimate(10.0 * len(tried))

    monkeypatch.setattr(dry_run, "_try", estimate)
    configs = [{"model": {"cell": cell}, "seed": seed} for cell in ("gru", "lstm") for seed in (1, 2, 3)]
    jobs = [Job("", [], config, RunDirectory(Path("job")), ResourceRequest()) for config in configs]
    estimates = dry_run._estimate(jobs, Console(quiet=True))
    assert tried == [("gru", 1), ("lstm", 1)]
    assert [estimates[job].seconds for job in jobs] == [10.0] * 3 + [20.0] * 3


MODEL = {"num_layers": 1, "hidden_size": 8}
TRAINER = {"max_epochs": 1, "limit_train_batches": 1.0}


def jobs_of(*optimizers: dict[str, Any], sizes: Sequence[int] = (8,)) -> list[Job]:
    configs = [
        {"model": {**MODEL, "hidden_size": size}, "trainer": TRAINER, "optimizer": optimizer}
        for size in sizes
        for optimizer in optimizers
    ]
    labels = [f"{config['model']['hidden_size']} {config['optimizer']}" for config in configs]  # type: ignore[index]
    return [
        Job(label, [], config, RunDirectory(Path("job")), ResourceRequest())
        for label, config in zip(labels, configs, strict=True)
    ]


def test_jobs_of_one_shape_share_the_time_of_the_first_that_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    def estimate(config: Any, _: float) -> Estimate:
        return Estimate(trouble="fails: lr") if config["optimizer"]["lr"] < 0 else Estimate(10.0)

    monkeypatch.setattr(dry_run, "_try", estimate)
    bad, first, second, other = jobs_of({"lr": -1}, {"lr": 1}, {"lr": 2}, {"lr": 2, "nesterov": True})
    estimates = dry_run._estimate([bad, first, second, other], Console(quiet=True))
    assert (estimates[bad].trouble, estimates[first].source, estimates[other].source) == ("fails: lr", "", "")
    assert (estimates[second].seconds, estimates[second].source) == (10.0, f"as {first.label}")


def test_shapes_that_are_not_tried_in_time_are_estimated_from_the_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "_try", lambda *_: Estimate(10.0))
    seconds = iter((0, 1, 2, 2 + dry_run.MAX_SECONDS))
    monkeypatch.setattr(dry_run, "time", SimpleNamespace(monotonic=lambda: next(seconds)))
    jobs = jobs_of({"lr": 1}, sizes=(8, 16, 4096))
    console = Console(record=True, width=200)
    estimates = dry_run._estimate(jobs, console)
    assert [estimates[job].source for job in jobs] == ["", "", "not tried, from 2 others"]
    assert estimates[jobs[2]].seconds == pytest.approx(10.0 * jobs[2].cost / jobs[1].cost, rel=0.1)
    assert "2 of 3 shapes tried" in console.export_text()


def test_nothing_tried_in_time_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dry_run, "MAX_SECONDS", 0.0)
    (job,) = jobs_of({"lr": 1})
    assert str(dry_run._estimate([job], Console(quiet=True))[job]) == "unknown"


def test_an_estimate_is_shown_as_a_duration() -> None:
    assert [str(Estimate(seconds)) for seconds in (0.2, 75, 3601, float("inf"))] == [
        *("0:00", "1:15", "1:00:01", "without end")
    ]
    assert str(Estimate(trouble="fails: no data")) == ""
