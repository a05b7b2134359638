"""The runs below some directories, read from their files, including those that failed or still run."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnnexp.core.atomic_files import read_json
from rnnexp.core.errors import UserError
from rnnexp.core.types import Primitive
from rnnexp.core.validation import did_you_mean_path
from rnnexp.tasks.registry import kind_of_run
from rnnexp.tracking.run_directory import SCHEMA_VERSION, RunDirectory
from rnnexp.tracking.short_keys import short_keys
from rnnexp.tracking.status import Status


@dataclass(frozen=True)
class Run:
    """One run directory, read once.

    Args:
        path: the directory.
        status: the status of the run.
        reason: the reason for the status, if the run failed or cannot be read.
        since: the time at which it reached the status, ISO 8601.
        config: its resolved config; None, for a run without a group, if it cannot be read.
        facts: its short keys.
        config_hash: the hash of its config.
        result: the content of result.json; empty unless the run is done.
        code: the commit of the code, and whether tracked files differed from it.
    """

    path: Path
    status: Status
    reason: str = ""
    since: str = ""
    config: Mapping[str, Any] | None = None
    facts: dict[str, Primitive] = field(default_factory=dict)
    config_hash: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    code: str = "unknown"

    @property
    def files(self) -> RunDirectory:
        """The files of the run."""
        return RunDirectory(self.path)

    @property
    def seed(self) -> str:
        """The seed by which runs are paired; it includes the seed of the data if that differs."""
        config = self.config or {}
        seed, of_data = config.get("seed"), config.get("data", {}).get("seed")
        return str(seed) if of_data in (None, seed) else f"{seed}, data {of_data}"

    @property
    def device(self) -> str:
        """The name of the device, with the number of devices if there are several."""
        number, name = self.number("device.num_devices"), self.text("device.name")
        return f"{number:g} × {name}" if number and number > 1 else name

    def metric(self, name: str) -> float | None:
        """Return a metric of the result; None if the result has none, or it is not a number."""
        return _number(self.result.get("metrics", {}).get(name))

    def number(self, path: str) -> float | None:
        """Return a number of the result by its path, keys joined by dots; None if there is none."""
        return _number(_at(self.result, path))

    def text(self, path: str) -> str:
        """Return a field of the result by its path, as text; empty if there is none."""
        value = _at(self.result, path)
        return "" if value is None else str(value)


def find_runs(directories: Sequence[Path]) -> list[Run]:
    """Return every run in or below the directories, once, ordered by path.

    Raises:
        UserError: if a directory does not exist, or holds no run.
    """
    runs: dict[Path, Run] = {}
    for directory in directories:
        if not directory.is_dir():
            raise UserError(f"{directory} is not a directory{did_you_mean_path(directory)}")
        below = {run.path.resolve(): run for run in _runs_below(directory)}
        if not below:
            raise UserError(f"{directory} holds no runs: a run directory has a config.yaml and a status.json")
        runs |= below
    return [runs[path] for path in sorted(runs)]


def _runs_below(directory: Path) -> Iterator[Run]:
    for place, subdirectories, files in os.walk(directory):
        path = Path(place)
        if {"config.yaml", "status.json"} <= set(files):
            # Directories below a run belong to it.
            subdirectories.clear()
            yield read_run(path)
        elif "sweep.json" in files:
            yield from _missing_jobs(path)


def _missing_jobs(sweep: Path) -> Iterator[Run]:
    """Yield the jobs of a sweep that have no config or no status: listed in sweep.json, or with a directory."""
    try:
        listed = read_json(sweep / "sweep.json").get("jobs")
    except (UserError, OSError):
        listed = None
    jobs = sweep / "jobs"
    names = {str(name) for name in listed} if isinstance(listed, list) else set()
    if jobs.is_dir():
        names |= {entry.name for entry in jobs.iterdir() if entry.is_dir()}
    for name in sorted(names):
        absent = [file for file in ("config.yaml", "status.json") if not (jobs / name / file).is_file()]
        if absent:
            # A sweep that still runs has not created the directories of its last jobs.
            reason = f"it has no {absent[0]}" if (jobs / name).is_dir() else "it has not started"
            # A job with a status has run.
            yield Run(jobs / name, Status.MISSING if "status.json" in absent else Status.UNREADABLE, reason)


def read_run(path: Path) -> Run:
    """Return the run of a directory as far as it can be read; the reason of an `unreadable` run names the file."""
    files = RunDirectory(path)
    try:
        config = files.read_unverified_config()
        facts = _facts(config, files.config_file, {})
    except (UserError, OSError) as error:
        return Run(path, Status.UNREADABLE, str(error))
    try:
        record = files.read_status()
        status = _status(record, files.status_file)
    except (UserError, OSError) as error:
        return Run(path, Status.UNREADABLE, str(error), config=config, facts=facts)
    try:
        files.require_own_config(config)
    except UserError as error:
        return Run(path, Status.UNREADABLE, str(error))
    reason = str(record.get("reason", ""))
    result: Mapping[str, Any] = {}
    if status is Status.DONE:
        try:
            result = _read_result(files.result_file, str(record["config_hash"]))
        except (UserError, OSError) as error:
            status, reason = Status.UNREADABLE, str(error)
    return Run(
        path,
        status,
        reason,
        since=str(record.get(f"{status}_since", "")),
        config=config,
        facts=_facts(config, files.config_file, result),
        config_hash=str(record.get("config_hash", "")),
        result=result,
        code=_code(files.environment_file),
    )


def _status(record: Mapping[str, Any], file: Path) -> Status:
    try:
        return Status(record["status"])
    except (KeyError, ValueError):
        raise UserError(f"{file} has no known status: {record.get('status')!r}") from None


def _facts(config: Mapping[str, Any], file: Path, result: Mapping[str, Any]) -> dict[str, Primitive]:
    try:
        kind = kind_of_run(config["task"]["_target_"], result.get("task_kind"))
        return short_keys(config, kind.name, kind.dataset_keys, _at(result, "model.num_parameters"))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} is not the config of a run ({type(error).__name__}: {error})") from None


def _read_result(file: Path, config_hash: str) -> dict[str, Any]:
    result = read_json(file)
    version = result.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        what = f"schema version {version}" if version is not None else "no schema version"
        raise UserError(f"{file} has {what}; this rnnexp reads up to {SCHEMA_VERSION}: update it to compare this run")
    if not isinstance(result.get("metrics"), dict):
        raise UserError(f"{file} holds no metrics")
    if result.get("config_hash") != config_hash:
        raise UserError(
            f"{file} is not of this run (config_hash {result.get('config_hash')}, but {config_hash} in status.json): "
            "it was changed afterwards, or belongs to another run"
        )
    return result


def _code(file: Path) -> str:
    try:
        git = read_json(file).get("git")
    except (UserError, OSError):
        return "unknown"
    if not isinstance(git, dict) or not git.get("commit"):
        return "unknown"
    return f"{str(git['commit'])[:10]}{' with changes' if git.get('dirty') else ''}"


def _at(node: Any, path: str) -> Any:  # noqa: ANN401
    for key in path.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
