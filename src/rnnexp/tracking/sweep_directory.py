"""A sweep's own directory: what was asked for, and a run directory for each of its jobs."""

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from rnnexp.core.atomic_files import read_json, write_json
from rnnexp.core.errors import UserError
from rnnexp.tracking.run_directory import SCHEMA_VERSION, RunDirectory


class SweepDirectory:
    """`sweep.json`, and the run directories below `jobs/`, each named after its overrides and its config's hash."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.record_file = path / "sweep.json"
        self.jobs = path / "jobs"
        self.study = path / "study"
        # One for all of this process: a search holds the directory before the sweep that runs its trials does.
        self._lock = FileLock(path / ".lock", is_singleton=True)

    @classmethod
    def open(cls, path: Path, name: str) -> "SweepDirectory":
        """The directory of this sweep, new or to be continued, and nobody else's until `close`.

        Args:
            name: of the primary config, which says which sweep it is.

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
        ours = {sweep.jobs.name, sweep.study.name, ".lock", ".hydra"}
        if not sweep.record_file.exists() and any(entry.name not in ours for entry in path.iterdir()):
            sweep.forget_multirun()
            raise UserError(f"{path} holds files, but is no sweep directory: name another with sweep_dir=")
        try:
            sweep._lock.acquire(timeout=0)
        except Timeout:
            raise UserError(
                f"{path} is in use: another process runs this sweep; wait for it, or name another with sweep_dir="
            ) from None
        if sweep.record_file.exists() and (there := read_json(sweep.record_file).get("name")) != name:
            sweep.close()
            raise UserError(f"{path} holds the sweep {there!r}, not {name!r}: name another with sweep_dir=")
        return sweep

    def forget_multirun(self) -> None:
        """Takes away what Hydra has written for a sweep that will not run, and the directory if that was all."""
        shutil.rmtree(self.path / ".hydra", ignore_errors=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

    def close(self) -> None:
        self._lock.release()

    def require_code(self, code: Mapping[str, Any]) -> None:
        """Raises UserError if a job that is here, of this grid or an earlier one, ran on other code than this."""
        for file in sorted(self.jobs.glob("*/status.json")):
            try:
                before = read_json(file).get("code")
            except UserError:
                # Told where it matters, if the job is one of this grid.
                continue
            if before != dict(code):
                self.close()
                raise UserError(
                    f"{file.parent} ran on other code ({_name(before)}) than this ({_name(code)}): its numbers and new "
                    "ones would not compare; take a new sweep_dir=, or allow_code_change=true to go on all the same"
                )

    def write_record(self, name: str, command: str, code: Mapping[str, Any], job_names: Sequence[str]) -> None:
        """What was asked for: the command, the code it ran on, and the jobs in the order of the grid."""
        record = {"schema_version": SCHEMA_VERSION, "name": name, "command": command, "code": dict(code)}
        write_json(self.record_file, record | {"jobs": list(job_names)})

    def job(self, name: str) -> RunDirectory:
        return RunDirectory(self.jobs / name)


def _name(code: Mapping[str, Any] | None) -> str:
    if not code or not code.get("commit"):
        return "of no commit"
    return f"{code['commit'][:10]}{', changed since' if code['dirty'] else ''}"
