"""A process is killed at each of its writes; the same command continues as if nothing had happened."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.files.atomic import read_json
from rnnexp.sweeps.process.forkserver import start_server
from support.crash_points import crashing, make_site, outcome, points, require_kinds, require_same, run_forked

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
def test_a_run_killed_at_every_point(single: SingleRun, record_property: Callable[[str, object], None]) -> None:
    record_property("cases", len(single.points))
    for at in range(1, len(single.points) + 1):
        single.kill_and_continue(at)


OF_JOB = {kind: rf"(.*) jobs/[^/]+/{pattern.partition(' ')[2]}" for kind, pattern in KINDS.items()}
OF_SWEEP = {
    **OF_JOB,
    "record of the sweep": r"os\.rename sweep\.json",
    "output of a job": r"open jobs/[^/]+/output\.log",
}
"""The files of a sweep; those of submitit and Ray are their own."""
OF_JOB_ALONE = re.compile(
    r".* jobs/[^/]+/(figures|figures/.*|checkpoints/(best|previous)\.ckpt|metrics\.csv|test_predictions\.pt"
    r"|environment\.json|train\.log)"
)
"""The writes of a job that no engine sees. The pool is killed at these."""
NAME_OF_JOB = re.compile(r"(?<=jobs/)[^/]+|(?<=submitit/)[^/]+|\d+(?=_)|(?<=_)[0-9a-f]{32}|(?<=/)[0-9a-f]{32}")
"""The part of a path that differs between two jobs."""


class CrashingSweep:
    """A sweep of two jobs one of whose processes is killed at a point, and the same sweep undisturbed."""

    def __init__(self, launcher: str, tiny: list[str], place: Path) -> None:
        self.launcher, self.place = launcher, place
        self.site = make_site(place / "site")
        self.command = [sys.executable, "-m", "rnnexp.train", "-m", *tiny, *TINY, "seed=1,2", "report=false"]
        self.command += LAUNCHERS[launcher]
        log = place / "points.log"
        whole = place / "whole"
        self.run(whole, crashing(self.site, whole, log))
        self.points = points(log)
        self.outcomes = self.read(whole)

    def run(self, sweep: Path, environment: dict[str, str], *, is_disturbed: bool = False) -> None:
        """Run the sweep. One whose process is killed may end in any way."""
        command = [*self.command, f"sweep_dir={sweep}"]
        with (self.place / "output.log").open("w+", encoding="utf-8") as output:
            done = subprocess.run(command, env=environment, stdout=output, stderr=output, timeout=900, check=False)
            output.seek(0)
            assert is_disturbed or done.returncode == 0, output.read()

    @staticmethod
    def read(sweep: Path) -> dict[str, dict[str, Any]]:
        """Return the outcome of each job by its directory, all of which the record names."""
        found = {run.name: outcome(run) for run in sorted((sweep / "jobs").iterdir())}
        assert sorted(read_json(sweep / "sweep.json")["jobs"]) == list(found)
        return found

    def kill_and_continue(self, at: int) -> None:
        sweep, log, point = self.place / str(at), self.place / f"{at}.points", self.points[at - 1]
        self.run(sweep, crashing(self.site, sweep, log, at), is_disturbed=True)
        self.run(sweep, dict(os.environ))
        assert len(points(log)) >= at, point
        assert list(self.read(sweep)) == list(self.outcomes), point
        for name, expected in self.outcomes.items():
            require_same(sweep / "jobs" / name, expected, point)
        shutil.rmtree(sweep)

    def last_points(self) -> list[int]:
        """Return the number of one point of each kind, the last one: of two jobs the second."""
        kinds = {NAME_OF_JOB.sub("", point): number for number, point in enumerate(self.points, 1)}
        is_pool = self.launcher == "pool"
        return sorted(at for at in kinds.values() if is_pool or not OF_JOB_ALONE.fullmatch(self.points[at - 1]))


LAUNCHERS = {
    "pool": ["hydra.launcher.jobs=1"],
    "submitit_local": ["hydra/launcher=submitit_local", "hydra.launcher.array_parallelism=1"],
    "ray": ["hydra/launcher=ray", "hydra.launcher.num_cpus=1"],
}


@pytest.mark.slow
@pytest.mark.timeout(4 * 3600)
@pytest.mark.parametrize("launcher", LAUNCHERS)
def test_a_sweep_killed_at_every_kind_of_point(
    launcher: str, tiny: list[str], tmp_path: Path, record_property: Callable[[str, object], None]
) -> None:
    if launcher != "pool":
        pytest.importorskip("ray" if launcher == "ray" else "submitit")
    sweep = CrashingSweep(launcher, tiny, tmp_path)
    require_kinds(sweep.points, OF_SWEEP)
    record_property("cases", len(sweep.last_points()))
    for at in sweep.last_points():
        sweep.kill_and_continue(at)
