"""The plan of more seeds, and its commands, which continue the sweep."""

import dataclasses
import shlex
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import pytest

import rnnexp
from rnnexp.core.files.atomic import write_json
from rnnexp.report.__main__ import report
from rnnexp.report.plan import plan_seeds
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.runs import Run
from rnnexp.report.stats.ranking import compare_with_best
from rnnexp.tracking.config_file import write_yaml
from rnnexp.tracking.environment import git_state

Made = Callable[..., Run]
Grouped = Callable[..., ComparisonGroup]
CODE = git_state(Path(rnnexp.__file__).parent)
COMMAND = "python -m rnnexp.train --config-dir sweeps --config-name cells hydra.launcher.jobs=2 model=gru seed=1,2"


@pytest.fixture
def in_sweep(tmp_path: Path) -> Callable[[Run], Run]:
    """A function that puts an invented run into a sweep, with the overrides of its cell."""

    def put(run: Run) -> Run:
        assert run.config is not None
        path = tmp_path / "cells" / "jobs" / run.path.name
        path.mkdir(parents=True)
        write_json(tmp_path / "cells" / "sweep.json", {"name": "cells", "command": COMMAND, "code": CODE})
        overrides = [f"model={run.config['model']['cell']}", f"seed={run.seed}", "size=small", "+model.x='a b'"]
        write_yaml(path / "overrides.yaml", overrides)
        return dataclasses.replace(run, path=path)

    return put


def scores(made: Made, values: Mapping[str, Sequence[float | None]]) -> list[Run]:
    """Return runs by cell, with seeds from 1 on; a run without a value diverged."""
    return [
        made(cell, seed, acc=acc, status="done" if acc is not None else "diverged", result={"timing": TIMING})
        for cell, of_cell in values.items()
        for seed, acc in enumerate(of_cell, start=1)
    ]


TIMING = {"total_seconds": 90.0}


def planned(group: ComparisonGroup, margin: float | None = None) -> list[str]:
    return [line.strip() for line in plan_seeds(group, compare_with_best(group, margin))]


def test_the_commands_continue_the_sweep(made: Made, in_sweep: Callable[[Run], Run], group_of: Grouped) -> None:
    runs = scores(made, {"gru": [0.92, 0.93, 0.925], "lstm": [0.90, 0.93, 0.92], "srn": [0.4, 0.412, 0.405]})
    title, pair, command = planned(group_of([in_sweep(run) for run in runs]))
    assert pair.startswith("gru against lstm: ")
    number = int(pair.split()[3])
    assert title == f"plan for MNIST-rows: {2 * (number - 3)} runs, about {3 * (number - 3)}:00 one after another"
    sweep = runs[0].path.parent / "cells"
    assert shlex.split(command) == [
        *("python", "-m", "rnnexp.train", "--config-dir", "sweeps", "--config-name", "cells", "hydra.launcher.jobs=2"),
        *("-m", "model=gru,lstm", "size=small", "+model.x='a b'", f"seed=range(4,{number + 1})", f"sweep_dir={sweep}"),
    ]


def test_seeds_that_one_of_both_has_run_come_first(
    made: Made, in_sweep: Callable[[Run], Run], group_of: Grouped
) -> None:
    runs = scores(made, {"gru": [0.92, 0.93], "lstm": [0.90, None, 0.91, 0.91]})
    _, pair, *commands = planned(group_of([in_sweep(run) for run in runs]))
    assert pair == "gru against lstm: 3 shared seeds, of which there are 1"
    assert [[word for word in shlex.split(line) if word.startswith(("model=", "seed="))] for line in commands] == [
        ["model=gru", "seed=3,4"]
    ]


def test_single_runs_become_a_sweep(made: Made, group_of: Grouped) -> None:
    runs = scores(made, {"gru": [0.92], "lstm": [0.91]})
    for run in runs:
        run.path.mkdir(parents=True)
        write_json(run.files.environment_file, {"command": "rnnexp train", "git": {"commit": "feedface00ff"}})
    lines = planned(group_of(runs))
    assert any("of commit feedface00" in line for line in lines)
    assert "python -m rnnexp.train -m seed=2,3" in lines


def test_what_cannot_be_planned_is_named(made: Made, group_of: Grouped) -> None:
    runs = scores(made, {"gru": [0.92, 0.93, 0.925], "lstm": [0.93, 0.919, 0.9259]})
    lines = planned(group_of(runs))
    assert len(lines) == 2
    assert "more than 1,000 shared seeds, too close to plan" in lines[1]
    assert planned(group_of(scores(made, {"gru": [0.9]}))) == [
        "plan for MNIST-rows: nothing to add, every comparison with the best is settled"
    ]


def test_a_margin_can_settle_what_is_close(made: Made, group_of: Grouped) -> None:
    runs = scores(made, {"gru": [0.920, 0.930, 0.925], "lstm": [0.9201, 0.9299, 0.9249]})
    assert "settled" not in planned(group_of(runs))[0]
    assert planned(group_of(runs), margin=1.0)[0].endswith("every comparison with the best is settled")


@pytest.mark.slow
def test_the_plan_of_a_real_sweep_adds_seeds_to_it(
    tiny: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = [sys.executable, "-m", "rnnexp.train", "-m", *tiny, "model=srn,gru", "seed=1", "report=false"]
    subprocess.run([*first, f"sweep_dir={tmp_path}/sweep"], check=True, capture_output=True)
    assert report([str(tmp_path / "sweep"), "--plan"]) == 0
    (command,) = (line for line in capsys.readouterr().out.splitlines() if line.startswith("  python "))
    words = [sys.executable, *shlex.split(command)[1:]]
    subprocess.run([*words, "report=false"], check=True, capture_output=True)
    overrides = [path.parent.name for path in (tmp_path / "sweep").glob("jobs/*/result.json")]
    assert len(overrides) == 6
    assert report([str(tmp_path / "sweep")]) == 0
    assert ", n = 3)" in capsys.readouterr().out
