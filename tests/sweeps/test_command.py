"""The command that continues a job, in directories whose names Hydra would interpret."""

import subprocess
from pathlib import Path
from typing import Any

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from rnnexp.core.atomic_files import read_json, write_json
from rnnexp.core.validation import override
from rnnexp.sweeps.process.command import JobCommand
from support.programs import Run
from support.sweeps import BARE

STRANGE = "it's a [b], c={d} $e \\f é"


def test_a_command_names_its_checkpoint_whatever_the_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []
    monkeypatch.setattr(subprocess, "Popen", lambda command, **_: commands.append(command))
    command = JobCommand(tmp_path / STRANGE)
    checkpoint = command.run.last_checkpoint
    checkpoint.parent.mkdir(parents=True)
    checkpoint.touch()
    command.start()
    read: Any = OverridesParser.create().parse_override(commands[0][-1])
    assert (read.key_or_group, str(read.value())) == ("ckpt_path", str(checkpoint))


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
