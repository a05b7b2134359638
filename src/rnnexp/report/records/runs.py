"""The runs below some directories, as their files tell of them: also those that failed, or have not ended yet."""

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rnnexp.core.atomic_files import read_json
from rnnexp.core.errors import UserError
from rnnexp.core.validation import did_you_mean
from rnnexp.tasks.registry import kind_of_target
from rnnexp.tracking.run_directory import SCHEMA_VERSION, RunDirectory
from rnnexp.tracking.short_keys import ShortKeys, short_keys

UNREADABLE, MISSING = "unreadable", "missing"
"""What becomes of a run besides the statuses of a run directory: its files cannot be read, or it has none."""


@dataclass(frozen=True)
class Run:
    """One run directory, read once. Of a run that is not `done`, `result` is empty."""

    path: Path
    status: str
    reason: str = ""
    since: str = ""
    """the instant of the status, ISO 8601"""
    config: Mapping[str, Any] | None = None
    """None where it cannot be read: the run has a place in no table then"""
    facts: ShortKeys = field(default_factory=dict)
    config_hash: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    code: str = "unknown"
    """the commit that ran, and whether tracked files differed from it"""

    @property
    def files(self) -> RunDirectory:
        return RunDirectory(self.path)

    @property
    def seed(self) -> str:
        """What runs are paired by; a seed of the data's own is part of it."""
        config = self.config or {}
        seed, of_data = config.get("seed"), config.get("data", {}).get("seed")
        return str(seed) if of_data in (None, seed) else f"{seed}, data {of_data}"

    @property
    def device(self) -> str:
        number, name = self.number("device.num_devices"), self.text("device.name")
        return f"{number:g} × {name}" if number and number > 1 else name

    def metric(self, name: str) -> float | None:
        """A metric of the result; None where there is none, or it is not a number."""
        return _number(self.result.get("metrics", {}).get(name))

    def number(self, path: str) -> float | None:
        """A number of the result, by keys with dots between them."""
        return _number(_at(self.result, path))

    def text(self, path: str) -> str:
        """A field of the result, by keys with dots between them; empty where there is none."""
        value = _at(self.result, path)
        return "" if value is None else str(value)


def find_runs(directories: Sequence[Path]) -> list[Run]:
    """Every run below the directories, once, in the order of their paths.

    Raises:
        UserError: for a directory that is not there, or has no run in or below it.
    """
    runs: dict[Path, Run] = {}
    for directory in directories:
        if not directory.is_dir():
            parent = directory.absolute().parent
            siblings = [entry.name for entry in parent.iterdir() if entry.is_dir()] if parent.is_dir() else []
            raise UserError(f"{directory} is not a directory{did_you_mean(directory.name, siblings)}")
        below = {run.path.resolve(): run for run in _runs_below(directory)}
        if not below:
            raise UserError(f"{directory} holds no runs: a run directory has a config.yaml and a status.json")
        runs |= below
    return [runs[path] for path in sorted(runs)]


def _runs_below(directory: Path) -> Iterator[Run]:
    for place, subdirectories, files in os.walk(directory):
        path = Path(place)
        if {"config.yaml", "status.json"} <= set(files):
            # What lies below a run belongs to it.
            subdirectories.clear()
            yield read_run(path)
        elif "sweep.json" in files:
            yield from _missing_jobs(path)


def _missing_jobs(sweep: Path) -> Iterator[Run]:
    """The jobs that a sweep names, or has a directory for, and that have not so much as a config."""
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
            # Without a directory it has not begun, as the last jobs of a sweep that still runs.
            reason = f"it has no {absent[0]}" if (jobs / name).is_dir() else "it has not begun"
            # What has a status has run.
            yield Run(jobs / name, MISSING if "status.json" in absent else UNREADABLE, reason)


def read_run(path: Path) -> Run:
    """A run directory as far as it can be read; what cannot is the reason of a run that is `unreadable`."""
    files = RunDirectory(path)
    try:
        config = files.read_config()
        facts = _facts(config, files.config_file)
    except (UserError, OSError) as error:
        return Run(path, UNREADABLE, str(error))
    try:
        record = files.read_status()
    except (UserError, OSError) as error:
        return Run(path, UNREADABLE, str(error), config=config, facts=facts)
    status, reason = str(record.get("status", UNREADABLE)), str(record.get("reason", ""))
    result: Mapping[str, Any] = {}
    if status == "done":
        try:
            result = _read_result(files.result_file)
        except (UserError, OSError) as error:
            status, reason = UNREADABLE, str(error)
    return Run(
        path,
        status,
        reason,
        since=str(record.get(f"{status}_since", "")),
        config=config,
        facts=facts | {"num_parameters": _at(result, "model.num_parameters")},
        config_hash=str(record.get("config_hash", "")),
        result=result,
        code=_code(files.environment_file),
    )


def _facts(config: Mapping[str, Any], file: Path) -> ShortKeys:
    try:
        kind = kind_of_target(config["task"]["_target_"])
        return short_keys(config, kind.name, kind.dataset_keys, None)
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} is not the config of a run ({type(error).__name__}: {error})") from None


def _read_result(file: Path) -> dict[str, Any]:
    result = read_json(file)
    version = result.get("schema_version")
    if not isinstance(version, int) or version > SCHEMA_VERSION:
        what = f"schema version {version}" if version is not None else "no schema version"
        raise UserError(f"{file} has {what}; this rnnexp reads up to {SCHEMA_VERSION}: update it to compare this run")
    if not isinstance(result.get("metrics"), dict):
        raise UserError(f"{file} holds no metrics")
    return result


def _code(file: Path) -> str:
    try:
        git = read_json(file).get("git")
    except (UserError, OSError):
        return "unknown"
    if not isinstance(git, dict) or not git.get("commit"):
        return "unknown"
    return f"{git['commit'][:10]}{' with changes' if git.get('dirty') else ''}"


def _at(node: Any, path: str) -> Any:  # noqa: ANN401
    for key in path.split("."):
        node = node.get(key) if isinstance(node, Mapping) else None
    return node


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None
