"""Each file of a run directory is damaged after the fact; the same command ends with the right table all the same."""

import os
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from rnnexp.core.files.atomic import read_json
from rnnexp.report.records.runs import find_runs
from support.crash_points import outcome
from support.programs import Outcome, Run

DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "half": lambda content: content[: len(content) // 2],
    "junk": lambda content: os.urandom(max(16, len(content))),
    "zeros": lambda content: bytes(max(16, len(content))),
}
"""Ways in which a power cut or a bad disk damages a file."""
TINY = ["model.hidden_size=4", "trainer.max_epochs=3", "trainer.limit_train_batches=2", "trainer.limit_val_batches=1"]
STOP = "+callbacks.stop={_target_:support.probing_callbacks.SendSignal,step:%d,number:%d}"


class Damaged:
    """Copies of a sweep of two jobs in which a file is damaged, and the same command again.

    Args:
        run: runs the training program in this process.
        place: a directory for the copies.
        more: further overrides.
        interrupted: whether the jobs were interrupted after their second epoch.
    """

    def __init__(self, run: Run, place: Path, *more: str, interrupted: bool) -> None:
        self._run, self._place = run, place
        self._overrides = [*TINY, "seed=1,2", "run_only=[callbacks.stop]", *more]
        whole, self.base = place / "whole", place / "base"
        assert self.repeat(whole).exit_code == 0
        self.outcomes = {path.name: outcome(path) for path in (whole / "jobs").iterdir()}
        if interrupted:
            self.repeat(self.base, STOP % (4, signal.SIGTERM))
        else:
            shutil.copytree(whole, self.base)
        (self.job,) = (name for name in self.outcomes if "seed-2" in name)
        expected = "interrupted" if interrupted else "done"
        assert read_json(self.base / "jobs" / self.job / "status.json")["status"] == expected

    def repeat(self, sweep: Path, *overrides: str) -> Outcome:
        return self._run(*self._overrides, f"sweep_dir={sweep}", *overrides, "-m")

    @property
    def files(self) -> list[str]:
        """The files of the second job, by their paths in its directory."""
        job = self.base / "jobs" / self.job
        return sorted(str(path.relative_to(job)) for path in job.rglob("*") if path.is_file())

    def damage_and_repeat(self, name: str, damage: str) -> None:
        """Damage a file: the report lists both jobs, and the same command ends with the table of the whole sweep."""
        # A new place each time: this process holds the lock of each sweep to its end.
        copy = self._place / f"{damage}-{name.replace('/', '-')}"
        shutil.copytree(self.base, copy)
        file = copy / "jobs" / self.job / name
        file.write_bytes(DAMAGES[damage](file.read_bytes()))
        assert len(find_runs([copy])) == 2, "the report lists the others"
        again = self.repeat(copy)
        assert again.exit_code == 0, (name, damage, again.stdout + again.stderr)
        for job, expected in self.outcomes.items():
            found = outcome(copy / "jobs" / job)
            assert found["status"] == ("done", "done"), (name, damage)
            tested = {key: value for key, value in expected["metrics"].items() if key in found["metrics"]}
            assert found["metrics"] == tested, (name, damage)
            assert {"test/acc", "val/acc_best"} <= set(tested)
        # Answers and figures of a job that is done are not computed again.
        assert {run.status for run in find_runs([copy])} == {"done"}, (name, damage)
        assert again.stdout.count("2 done") == 1


def test_a_damaged_checkpoint_of_an_interrupted_job(run: Run, tmp_path: Path) -> None:
    # Without answers there are fewer figures to draw.
    damaged = Damaged(run, tmp_path, "callbacks.predictions=null", interrupted=True)
    damaged.damage_and_repeat("checkpoints/last.ckpt", "half")


@pytest.mark.slow
@pytest.mark.timeout(7200)
@pytest.mark.parametrize("interrupted", [True, False])
@pytest.mark.parametrize("damage", DAMAGES)
def test_every_damaged_file(
    run: Run, tmp_path: Path, damage: str, interrupted: bool, record_property: Callable[[str, object], None]
) -> None:
    damaged = Damaged(run, tmp_path, interrupted=interrupted)
    record_property("cases", len(damaged.files))
    assert {"config.yaml", "overrides.yaml", "status.json", "result.json", "metrics.csv"} <= set(damaged.files)
    assert {"checkpoints/last.ckpt", "checkpoints/previous.ckpt", "checkpoints/best.ckpt"} <= set(damaged.files)
    for name in damaged.files:
        damaged.damage_and_repeat(name, damage)
