"""The directory of a sweep: its record, and a run directory for each of its jobs."""

import shlex
import weakref
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import TEMPORARY, put_aside, read_json, remove_temporary_files, write_json, write_text
from rnnexp.core.files.directory_lock import LOCK_NAME, LockedError, locked
from rnnexp.tracking.run_directory import SCHEMA_VERSION, RunDirectory

LONGEST_COMMAND = 100_000
"""The length of a command that is read: shlex takes time with the square of a word's length."""


class SweepDirectory:
    """The files of a sweep: `sweep.json`, and below `jobs/` run directories named after overrides and config hash."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record_file = path / "sweep.json"
        self.jobs = path / "jobs"
        self.study = path / "study"
        self._lock = ExitStack()
        weakref.finalize(self, self._lock.close)

    @classmethod
    def open(cls, path: Path, name: str) -> "SweepDirectory":
        """Open the directory of a new or earlier sweep, and lock it until `close`.

        Args:
            name: the name of the primary config, which identifies the sweep.

        Raises:
            UserError: if it belongs to another sweep, to something else, or to a process that is running it now.
        """
        sweep = cls(path)
        try:
            path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise UserError(
                f"cannot make the sweep directory {path}: {error.strerror}; name another with sweep_dir="
            ) from None
        if not sweep.record_file.exists() and any(not sweep._is_own(entry.name) for entry in path.iterdir()):
            raise UserError(f"{path} holds files, but is not a sweep directory: name another with sweep_dir=")
        try:
            # The sweep that runs the trials of a search has opened it before the search, and has the lock.
            sweep._lock.enter_context(locked(path))
        except LockedError as error:
            raise UserError(f"{error}, which runs this sweep: wait for it, or name another with sweep_dir=") from None
        remove_temporary_files(path)
        recorded = sweep._recorded_name()
        if recorded is not None and recorded != name:
            sweep.close()
            raise UserError(f"{path} holds the sweep {recorded!r}, not {name!r}: name another with sweep_dir=")
        return sweep

    def _is_own(self, name: str) -> bool:
        """Return whether an entry is one that a sweep makes, perhaps before its record."""
        own = {self.jobs.name, self.study.name, LOCK_NAME, ".hydra", "report"}
        return name in own or name.startswith(f"{self.record_file.name}.damaged") or bool(TEMPORARY.fullmatch(name))

    def _recorded_name(self) -> str | None:
        """Return the name of the sweep; None without a record. A damaged record is put aside."""
        if not self.record_file.exists():
            return None
        try:
            return str(read_json(self.record_file).get("name"))
        except UserError as error:
            print(f"{error}: renamed to {put_aside(self.record_file).name}, and written again", flush=True)
            return None

    def close(self) -> None:
        """Release the lock."""
        self._lock.close()

    def require_code(self, code: Mapping[str, Any]) -> None:
        """Raise UserError if a job in the directory, of this grid or an earlier one, ran on other code."""
        for file in sorted(self.jobs.glob("*/status.json")):
            try:
                before = read_json(file).get("code")
            except UserError:
                # A damaged file is reported later if its job belongs to this grid.
                continue
            # A record that began anew after damage has no code.
            if before is not None and before != dict(code):
                self.close()
                raise UserError(
                    f"{file.parent} ran on other code ({_name(before)}) than this ({_name(code)}): its results and "
                    "new ones are not comparable; choose a new sweep_dir=, or allow_code_change=true to continue anyway"
                )

    def write_record(self, name: str, command: str, code: Mapping[str, Any], job_names: Sequence[str]) -> None:
        """Write sweep.json: the command, the code it ran on, and the jobs in the order of the grid."""
        record = {"schema_version": SCHEMA_VERSION, "name": name, "command": command, "code": dict(code)}
        write_json(self.record_file, record | {"jobs": list(job_names)})

    def write_multirun(self, text: str) -> None:
        """Write `.hydra/multirun.yaml`, the overrides and the composed config, as Hydra's own sweeper does."""
        directory = self.path / ".hydra"
        directory.mkdir(exist_ok=True)
        write_text(directory / "multirun.yaml", text)

    def job(self, name: str) -> RunDirectory:
        """Return the run directory of a job."""
        return RunDirectory(self.jobs / name)


def words_of(command: object) -> list[str]:
    """Return the words of a recorded command; none if it is not a command line that a person could have written."""
    if not isinstance(command, str) or len(command) > LONGEST_COMMAND:
        return []
    try:
        return shlex.split(command)
    except ValueError:
        return []


def _name(code: object) -> str:
    commit = code.get("commit") if isinstance(code, Mapping) else None
    if not isinstance(code, Mapping) or not isinstance(commit, str):
        return "no commit"
    return f"{commit[:10]}{', changed since' if code.get('dirty') else ''}"
