"""The search for run directories."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import find_json
from rnnexp.core.validation import did_you_mean_path, is_file_name
from rnnexp.tracking.status import RunState, Status

REQUIRED = ("config.yaml", "status.json")
"""The files of each run directory."""
REST_OF_RUN = frozenset({"status.json", "result.json", "environment.json", "overrides.yaml", "train.log"})
"""Files of a run. A directory with two of them has lost others; one alone may be another program's."""

REMOVED = ".removed."
"""The beginning of the name of a run directory that is being removed, or whose removal was interrupted."""


class FoundRun(NamedTuple):
    """A run directory.

    Args:
        path: the directory.
        problem: the state of a run without a config or a status; None for a run that has both.
    """

    path: Path
    problem: RunState | None = None


def find_run_directories(directories: Sequence[Path]) -> list[FoundRun]:
    """Return every run in or below the directories, once, ordered by path. Links to directories are not followed.

    Raises:
        UserError: if a directory does not exist, or holds no run.
    """
    runs: dict[Path, FoundRun] = {}
    for directory in directories:
        # Path.is_dir raises if the name is too long.
        if not os.path.isdir(directory):  # noqa: PTH112
            raise UserError(f"{directory} is not a directory{did_you_mean_path(directory)}")
        below: dict[Path, FoundRun] = {}
        for run in _runs_below(directory):
            below.setdefault(run.path.resolve(), run)
        if not below:
            raise UserError(f"{directory} holds no runs: a run directory has a config.yaml and a status.json")
        runs |= below
    return [runs[path] for path in sorted(runs)]


def _runs_below(directory: Path) -> Iterator[FoundRun]:
    unlisted: list[OSError] = []
    for place, subdirectories, names in os.walk(directory, onerror=unlisted.append):
        path, found = Path(place), set(names)
        subdirectories[:] = [name for name in subdirectories if not name.startswith(REMOVED)]
        if found.issuperset(REQUIRED):
            # Directories below a run belong to it.
            subdirectories.clear()
            yield FoundRun(path)
        elif "sweep.json" in found:
            yield from _incomplete_jobs(path, unlisted)
        elif len(found & REST_OF_RUN) > 1:
            subdirectories.clear()
            yield _incomplete_run(path)
    for error in unlisted:
        yield FoundRun(Path(error.filename), RunState(Status.UNREADABLE, f"it cannot be listed: {error.strerror}"))


def _incomplete_jobs(sweep: Path, unlisted: list[OSError]) -> Iterator[FoundRun]:
    """Yield the jobs of a sweep that have no config or no status: listed in sweep.json, or with a directory."""
    listed = find_json(sweep / "sweep.json").get("jobs")
    jobs = sweep / "jobs"
    names = set(filter(is_file_name, listed)) if isinstance(listed, list) else set()
    try:
        names |= {entry.name for entry in os.scandir(jobs) if entry.is_dir() and not entry.name.startswith(REMOVED)}
    except FileNotFoundError:
        pass
    except OSError as error:
        unlisted.append(error)
    for name in sorted(names):
        if not all(os.access(jobs / name / file, os.F_OK) for file in REQUIRED):
            yield _incomplete_run(jobs / name)


def _incomplete_run(path: Path) -> FoundRun:
    """Return a run without a config or a status. A job with a status has run."""
    if os.access(path, os.F_OK) and not os.access(path, os.R_OK | os.X_OK):
        return FoundRun(path, RunState(Status.UNREADABLE, "it cannot be listed: Permission denied"))
    absent = [file for file in REQUIRED if not os.access(path / file, os.F_OK)]
    # A sweep that still runs has not created the directories of its last jobs.
    reason = f"it has no {' and no '.join(absent)}" if os.access(path, os.F_OK) else "it has not started"
    return FoundRun(path, RunState(Status.MISSING if "status.json" in absent else Status.UNREADABLE, reason))
