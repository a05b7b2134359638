"""The command that removes runs."""

import shutil
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.core.files.directory_lock import locked, observe_lock
from rnnexp.core.printable import shown
from rnnexp.runs.listing.filters import Filter, select
from rnnexp.runs.listing.listed_run import ListedRun, list_runs
from rnnexp.runs.listing.output import format_age
from rnnexp.runs.listing.search import REMOVED
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.status import Status

MOST_SHOWN = 20


def remove_runs(directories: Sequence[Path], filters: Sequence[Filter], *, is_confirmed: bool) -> int:
    """Remove runs, after a question unless it is confirmed, and return the exit code: 2 if a run must stay.

    Args:
        directories: run directories; with filters also directories of them.
        filters: what chooses among the runs.
        is_confirmed: ask no question.

    Raises:
        UserError: before anything is removed, if a directory without a filter is no run, or nobody can be asked.
    """
    if not filters:
        for directory in directories:
            _require_run(directory)
    runs = select(list_runs(directories), filters)
    removable = list[ListedRun]()
    for run in runs:
        if reason := reason_to_keep(run):
            _report(f"{run.path} stays: {reason}")
        else:
            removable.append(run)
    stay = len(runs) - len(removable)
    if removable and (is_confirmed or _ask(removable)):
        for run in removable:
            try:
                remove(run.path)
            except UserError as error:
                _report(str(error))
                stay += 1
            else:
                print(shown(f"removed {run.path}"))
    return UserError.exit_code if stay else 0


def _report(problem: str) -> None:
    print(f"rnnexp: {shown(problem)}", file=sys.stderr)


def _require_run(directory: Path) -> None:
    if directory.is_symlink():
        raise UserError(f"{directory} is a link: name the directory itself")
    if directory.is_dir() and not RunDirectory(directory).config_file.is_file():
        raise UserError(f"{directory} is not a run directory: to remove the runs in it, give a filter, status=failed")
    run = RunDirectory.of_finished_run(directory)
    if not run.status_file.exists():
        raise UserError(f"{directory} is not a run directory: it has no {run.status_file.name}")


def reason_to_keep(run: ListedRun) -> str:
    """Return why a run must not be removed; empty if it may be."""
    if run.path.is_symlink():
        return "it is a link"
    if not run.path.is_dir():
        return "it has no directory"
    files, status = run.files, run.state.status
    if status is Status.RUNNING or observe_lock(run.path).is_held:
        return "it is running"
    if observe_lock(run.path.resolve().parent.parent).is_held:
        return "its sweep is running"
    if status is Status.QUEUED and files.slurm_file.exists():
        return "it is queued on a cluster"
    if files.recorded_status is Status.UNREADABLE and not run.config:
        return "neither its status nor its config can be read, so it may be something else"
    if foreign := files.foreign_entries:
        return f"rnnexp has not written {', '.join(foreign[:3])} in it: move that away"
    return ""


def remove(path: Path) -> None:
    """Remove a run directory that no process writes to.

    Raises:
        LockedError: if a process has begun to write to it.
        UserError: if it cannot be removed.
    """
    try:
        with locked(path, seconds=0):
            # No program finds a part of a run under this name. The system does not rename `.` and `..`.
            hidden = path.resolve().rename(path.resolve().with_name(f"{REMOVED}{uuid.uuid4().hex[:12]}"))
        shutil.rmtree(hidden)
    except OSError as error:
        raise UserError(f"{error.filename or path} cannot be removed: {error.strerror or error}") from None


def _ask(runs: Sequence[ListedRun]) -> bool:
    for run in runs[:MOST_SHOWN]:
        age = format_age(run.age_seconds)
        print(shown(f"{run.path}  {run.state.status}{f', {age} ago' if age else ''}"))
    if len(runs) > MOST_SHOWN:
        print(f"and {len(runs) - MOST_SHOWN:,} more")
    if not sys.stdin.isatty():
        raise UserError("nothing is removed, since nobody can be asked: add --yes")
    try:
        answer = input(f"Remove {len(runs):,} run{'s' if len(runs) > 1 else ''} with all files? [y/N] ")
    except EOFError:
        answer = ""
    is_yes = answer.strip().lower() in ("y", "yes")
    if not is_yes:
        print("nothing is removed")
    return is_yes
