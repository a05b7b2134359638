"""One command uploads all offline runs of a sweep, as parsed by W&B's own command line."""

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from rnnexp.loggers.wandb_sync import sync_command
from support.wandb_account import without_account


def offline_run(place: Path, name: str, *, kind: str = "offline-run", synced: bool = False) -> Path:
    """Write the files of a W&B run under its names, with a link to the newest run."""
    directory = place / "wandb" / f"{kind}-20261124_120000-{name}"
    directory.mkdir(parents=True)
    file = directory / f"run-{name}.wandb"
    file.touch()
    if synced:
        file.with_name(f"{file.name}.synced").touch()
    (place / "wandb" / "latest-run").symlink_to(directory.name)
    return file


def found(command: str, place: Path) -> set[str]:
    """Return the runs that the command uploads."""
    bin_directory = Path(sys.executable).parent
    environment = without_account(place / "home")
    environment["PATH"] = f"{bin_directory}:{environment['PATH']}"
    dry = subprocess.run(
        ["bash", "-c", f"{command} --dry-run --verbose"],
        cwd=place,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    # Run names are indented below the number of runs.
    listed = (line.removeprefix("wandb:   ") for line in dry.stderr.splitlines() if line.startswith("wandb:   "))
    return {Path(path).name for path in listed}


def test_runs_at_one_depth_are_one_short_pattern(tmp_path: Path) -> None:
    sweep = tmp_path / "my sweeps" / "depth"
    for job in range(30):
        offline_run(sweep / "jobs" / f"model.cell=gru,seed={job}_0123", f"run{job}")
    offline_run(sweep / "jobs" / "uploaded", "uploaded", synced=True)
    offline_run(sweep / "jobs" / "online", "online", kind="run")
    offline_run(tmp_path / "elsewhere", "elsewhere")
    command = sync_command(sweep)
    assert command == f"wandb sync {shlex.quote(str(sweep))}/jobs/*/wandb"
    assert found(command, tmp_path) == {f"run-run{job}.wandb" for job in range(30)}


def test_runs_at_different_depths_are_all_found(tmp_path: Path) -> None:
    offline_run(tmp_path / "train" / "a'b", "first")
    offline_run(tmp_path / "sweeps" / "s" / "jobs" / "1", "second")
    offline_run(tmp_path / "sweeps" / "s" / "jobs" / "2", "third")
    command = sync_command(tmp_path)
    assert command is not None
    assert found(command, tmp_path) == {"run-first.wandb", "run-second.wandb", "run-third.wandb"}


def test_the_command_for_a_single_run(tmp_path: Path) -> None:
    offline_run(tmp_path, "only")
    command = sync_command(tmp_path)
    assert command == f"wandb sync {tmp_path}/wandb"
    assert found(command, tmp_path) == {"run-only.wandb"}


@pytest.mark.parametrize("synced", [True, False], ids=["all uploaded", "none made"])
def test_without_offline_runs_there_is_no_command(synced: bool, tmp_path: Path) -> None:
    if synced:
        offline_run(tmp_path / "job", "done", synced=True)
    assert sync_command(tmp_path) is None
