"""A process is killed at each of its writes; the same command continues, and the result is that of an undisturbed run."""

import csv
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.atomic_files import TEMPORARY, read_json
from rnnexp.sweeps.process.forkserver import start_server
from support.crash_points import points, require_kinds, run_forked

TINY = ["model.hidden_size=4", "trainer.max_epochs=2", "trainer.limit_train_batches=2", "trainer.limit_val_batches=1"]
KINDS = {
    "lock": r"open \.lock",
    "config": r"os\.rename config\.yaml",
    "overrides": r"os\.rename overrides\.yaml",
    "status": r"os\.rename status\.json",
    "environment": r"os\.rename environment\.json",
    "metrics": r"os\.rename metrics\.csv",
    "a row of metrics": r"open metrics\.csv",
    "last checkpoint": r"os\.rename checkpoints/last\.ckpt",
    "its predecessor": r"os\.rename checkpoints/previous\.ckpt",
    "best checkpoint": r"os\.rename checkpoints/best\.ckpt",
    "answers": r"os\.rename test_predictions\.pt",
    "result": r"os\.rename result\.json",
    "figures": r"os\.rename figures/.*\.png",
    "log": r"open train\.log",
}
"""The files of a single run, and a pattern of the write after which each is complete."""

Forked = Callable[..., int]


@pytest.fixture(scope="module")
def forked() -> Forked:
    """A function that runs the training program in a process of a server that has imported everything."""
    server = start_server()

    def run(output: Path, *arguments: str, crash: tuple[str, str, int] | None = None) -> int:
        process = server.Process(target=run_forked, args=(arguments, str(output), crash))
        process.start()
        process.join(300)
        assert process.exitcode is not None, output.read_text(encoding="utf-8")
        return process.exitcode

    return run


def outcome(run: Path) -> dict[str, Any]:
    """Return what must not depend on kills: status, metrics, and the rows of metrics.csv."""
    result = read_json(run / "result.json")
    metrics = {name: value for name, value in result["metrics"].items() if "samples_per_second" not in name}
    with (run / "metrics.csv").open(encoding="utf-8", newline="") as file:
        rows = [(row["step"], row["train/loss"], row["val/loss"], row["test/loss"]) for row in csv.DictReader(file)]
    status = read_json(run / "status.json")
    assert status["config_hash"] == result["config_hash"]
    return {
        "status": (status["status"], result["status"]),
        "metrics": metrics,
        "rows": [row for row in rows if any(row[1:])],
    }


def require_same(run: Path, expected: dict[str, Any], point: str) -> None:
    """Fail unless a run that was killed at a point has the outcome of an undisturbed one, and no files of its own."""
    found = outcome(run)
    if read_json(run / "result.json")["timing"]["first_step_seconds"] is None:
        # Nothing was left to train, so metrics of training were not measured again.
        tested = {name: value for name, value in expected["metrics"].items() if name in found["metrics"]}
        assert {"test/acc", "test/loss", "val/acc_best"} <= set(tested)
        expected = expected | {"metrics": tested}
    assert found == expected, point
    left = [path.name for path in run.rglob(".*") if TEMPORARY.fullmatch(path.name) or path.name == ".lock"]
    assert left == [], point


class SingleRun:
    """A run that is killed at a point and continued, and the same run undisturbed."""

    def __init__(self, forked: Forked, tiny: list[str], place: Path) -> None:
        self.forked, self.place = forked, place
        self.command = [*tiny, *TINY]
        whole = place / "whole"
        log = place / "points.log"
        code = forked(place / "whole.log", *self.command, f"paths.output_dir={whole}", crash=(str(whole), str(log), 0))
        assert code == 0, (place / "whole.log").read_text(encoding="utf-8")
        self.points = points(log)
        self.outcome = outcome(whole)

    def kill_and_continue(self, at: int) -> None:
        """Kill the run at a point, and continue it."""
        run, log, output = (self.place / f"{at}{end}" for end in ("", ".points", ".log"))
        code = self.forked(output, *self.command, f"paths.output_dir={run}", crash=(str(run), str(log), at))
        assert code == -9, f"{self.points[at - 1]}: {output.read_text(encoding='utf-8')}"
        is_begun = (run / "config.yaml").exists()
        again = [f"resume={run}"] if is_begun else [*self.command, f"paths.output_dir={run}"]
        assert self.forked(output, *again) == 0, f"{self.points[at - 1]}: {output.read_text(encoding='utf-8')}"
        require_same(run, self.outcome, self.points[at - 1])
        shutil.rmtree(run)


@pytest.fixture(scope="module")
def single(forked: Forked, tiny: list[str], tmp_path_factory: pytest.TempPathFactory) -> SingleRun:
    return SingleRun(forked, tiny, tmp_path_factory.mktemp("single"))


def test_all_files_of_a_run_are_crash_points(single: SingleRun) -> None:
    require_kinds(single.points, KINDS)


@pytest.mark.parametrize("kind", ["config", "last checkpoint", "result"])
def test_a_run_killed_before_a_file_has_its_name(single: SingleRun, kind: str) -> None:
    last = max(number for number, point in enumerate(single.points, start=1) if re.fullmatch(KINDS[kind], point))
    single.kill_and_continue(last)


@pytest.mark.slow
@pytest.mark.timeout(7200)
def test_a_run_killed_at_every_point(single: SingleRun) -> None:
    for at in range(1, len(single.points) + 1):
        single.kill_and_continue(at)
