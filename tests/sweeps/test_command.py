"""The command that continues a job, in directories whose names Hydra would interpret."""

from pathlib import Path

from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.core.validation import override
from support.programs import Run
from support.sweeps import BARE

STRANGE = "it's a [b], c={d} $e \\f é"


def test_a_job_continues_whatever_the_directory(run: Run, tmp_path: Path) -> None:
    sweep = tmp_path / STRANGE
    asked = ["seed=1", override("sweep_dir", sweep), *BARE, "trainer.max_epochs=1", "-m"]
    first = run(*asked)
    assert first.exit_code == 0, first.stderr + first.stdout
    (status,) = sweep.glob("jobs/*/status.json")
    write_json(status, read_json(status) | {"status": "interrupted"})
    again = run(*asked)
    assert again.exit_code == 0, again.stderr + again.stdout
    assert ", continued" in again.stdout
    assert read_json(status)["status"] == "done"
