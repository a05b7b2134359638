"""Small real runs to compare, which are made once, and runs with invented numbers."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from rnnexp import train
from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.report.records.groups import ComparisonGroup, make_groups
from rnnexp.report.records.runs import Run
from rnnexp.tasks.registry import kind_of_target
from rnnexp.tracking.keys import short_keys
from rnnexp.tracking.status import Status
from support.programs import Outcome, call

Made = Callable[..., Run]
Job = Callable[[str, str], Path]


def train_jobs(sweep: Path, jobs: Mapping[str, Sequence[str]]) -> Path:
    """Return a sweep directory whose jobs have run."""
    for name, overrides in jobs.items():
        outcome: Outcome = call(train.main, sweep, [*overrides, f"paths.output_dir={sweep}/jobs/{name}"])
        assert outcome.exit_code == 0, outcome.stderr
    write_json(sweep / "sweep.json", {"schema_version": 1, "name": "cells", "jobs": list(jobs)})
    return sweep


@pytest.fixture(scope="session")
def digits(tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two cells and two seeds on images; tests must not change it."""
    learning = [*tiny, "optimizer.lr=0.02", "model.hidden_size=16", "trainer.max_epochs=2"]
    jobs = {
        f"{model}_{seed}": [*learning, f"model={model}", f"seed={seed}"] for model in ("srn", "gru") for seed in (1, 2)
    }
    return train_jobs(tmp_path_factory.mktemp("digits"), jobs)


@pytest.fixture(scope="session")
def phrases(translate_tiny: Callable[[str], list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A sweep of two cells and two seeds on the phrasebook; tests must not change it."""
    small = [
        "task=translation",
        *translate_tiny("rnnexp.data.corpora.phrasebook.corpus.Phrasebook"),
        "model.num_layers=1",
    ]
    small += ["trainer.max_epochs=1", "task.beam_size=1"]
    jobs = {
        f"{model}_{seed}": [*small, f"model={model}", f"seed={seed}"] for model in ("srn", "gru") for seed in (1, 2)
    }
    return train_jobs(tmp_path_factory.mktemp("phrases"), jobs)


@pytest.fixture
def sweep(digits: Path, tmp_path: Path) -> Path:
    """A copy of the image sweep that a test may change."""
    return Path(shutil.copytree(digits, tmp_path / "sweep"))


def change_json(file: Path, change: Callable[[dict[str, Any]], object]) -> None:
    content = read_json(file)
    change(content)
    write_json(file, content)


@pytest.fixture
def made(tmp_path: Path) -> Made:
    """A function that invents a run: `made("gru", seed=2, acc=0.9)`; other arguments are keys with `__` for dots."""

    def make(
        cell: str = "gru",
        seed: int = 1,
        acc: float | None = 0.5,
        status: str = "done",
        result: Mapping[str, Any] | None = None,
        metrics: Mapping[str, float | None] | None = None,
        since: str = "",
        **settings: Any,
    ) -> Run:
        config: dict[str, Any] = {
            "seed": seed,
            "task": {"_target_": "rnnexp.tasks.classification.task.ClassificationTask"},
            "data": {
                "_target_": "rnnexp.data.images.mnist.MNISTDataModule",
                "name": "MNIST",
                "view": "rows",
                "batch_size": 50,
            },
            "model": {"cell": cell, "num_layers": 1, "bidirectional": False, "hidden_size": 8, "dropout": 0.0},
            "optimizer": {"_target_": "torch.optim.AdamW", "lr": 0.01},
            "trainer": {"max_steps": -1, "max_epochs": 1, "precision": "32-true"},
            "callbacks": {},
        }
        for key, value in settings.items():
            *groups, name = key.split("__")
            node = config
            for group in groups:
                node = node[group]
            node[name] = value
        content: dict[str, Any] = {
            "metrics": {**({} if acc is None else {"test/acc": acc}), **(metrics or {})},
            "data": {"name": config["data"]["name"], "view": config["data"]["view"], "num_test": 100},
            "model": {"cell": cell, "bidirectional": config["model"]["bidirectional"], "num_parameters": 100},
            "device": {"name": "a processor", "num_devices": 1},
            "precision": {"requested": "32-true", "effective": "32-true"},
            "num_test_samples": 100,
            **(result or {}),
        }
        kind = kind_of_target(config["task"]["_target_"])
        return Run(
            tmp_path / f"{cell}_{seed}_{len(str(settings))}",
            Status(status),
            since=since,
            config=config,
            facts=short_keys(config, kind.name, kind.dataset_keys, 100),
            result=content if status == "done" else {},
        )

    return make


def one_group(runs: Sequence[Run]) -> ComparisonGroup:
    groups, ungrouped = make_groups(runs)
    assert len(groups) == 1
    assert not ungrouped
    return groups[0]


Grouped = Callable[[Sequence[Run]], ComparisonGroup]


@pytest.fixture
def group_of() -> Grouped:
    """Return the only group of the runs."""
    return one_group


@pytest.fixture
def changed() -> Callable[[Path, Callable[[dict[str, Any]], object]], None]:
    """A function that changes a JSON file in place."""
    return change_json
