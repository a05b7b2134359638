"""The runs below some directories, read from their files, including those that failed or still run."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path, PurePath
from typing import Any

from rnnexp.core.errors import UserError, first_line
from rnnexp.core.files.atomic import read_json
from rnnexp.core.types import Primitive
from rnnexp.report.records.schema import brief, validate_result
from rnnexp.runs.listing.search import find_run_directories
from rnnexp.tasks.inference_record import is_number, read_inference
from rnnexp.tasks.registry import kind_of_run
from rnnexp.tracking.identity import SEEDS, config_hash, identity_of
from rnnexp.tracking.keys import flattened, short_keys, value_at
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.status import Status
from rnnexp.tracking.sweep_directory import SweepDirectory

UNKNOWN = "unknown"


@dataclass(frozen=True)
class Run:
    """One run directory, read once.

    Args:
        path: the directory.
        status: the status of the run.
        reason: the reason for the status, if the run failed or cannot be read.
        since: the time at which it reached the status, ISO 8601.
        queued: the time at which it was queued, ISO 8601; empty if that is not recorded.
        config: its resolved config; None, for a run without a group, if it cannot be read.
        facts: its short keys.
        config_hash: the hash of its config.
        result: the content of result.json, with that of inference.json as `inference`; empty unless the run is done.
        code: the commit of the code, and whether tracked files differed from it.
        damage: the reasons why parts of its other files are left out. They are added when the files are read.
    """

    path: Path
    status: Status
    reason: str = ""
    since: str = ""
    queued: str = ""
    config: Mapping[str, Any] | None = None
    facts: dict[str, Primitive] = field(default_factory=dict)
    config_hash: str = ""
    result: Mapping[str, Any] = field(default_factory=dict)
    code: str = UNKNOWN
    damage: list[str] = field(default_factory=list)

    def add_damage(self, reason: str) -> None:
        """Add the reason why a part of a file is left out, once."""
        if reason not in self.damage:
            self.damage.append(reason)

    @cached_property
    def identity(self) -> dict[str, Any]:
        """The part of the config in which settings differ: without seeds, and without what does not affect results."""
        return identity_of(_with_names_of_files(self.config or {}), *SEEDS)

    @cached_property
    def flat_identity(self) -> dict[str, Any]:
        """The identity by its whole keys, without empty groups: `cell_options: {}` is no axis."""
        return {key: value for key, value in flattened(self.identity).items() if value != {}}

    @property
    def files(self) -> RunDirectory:
        """The files of the run."""
        return RunDirectory(self.path)

    @cached_property
    def sweep(self) -> Path | None:
        """The directory of the sweep whose job it is; None for a single run."""
        directory = self.path.absolute().parent.parent
        return directory if SweepDirectory(directory).record_file.is_file() else None

    @property
    def seed(self) -> str:
        """The seed by which runs are paired; it includes the seed of the data if that differs."""
        config = self.config or {}
        seed, of_data = config.get("seed"), config.get("data", {}).get("seed")
        return str(seed) if of_data in (None, seed) else f"{seed}, data {of_data}"

    @cached_property
    def command(self) -> str:
        """The command that trains it once more; empty if its overrides cannot be read."""
        return self.files.command

    @property
    def anchor(self) -> str:
        """The name by which links of a page refer to it."""
        path = str(self.path).encode("utf-8", "surrogatepass")
        return f"run-{hashlib.sha256(path).hexdigest()[:10]}"

    @property
    def device(self) -> str:
        """The name of the device, with the number of devices if there are several."""
        number, name = self.number("device.num_devices"), self.text("device.name")
        return f"{number:g} × {name}" if number and number > 1 else name

    def metric(self, name: str) -> float | None:
        """Return a metric of the result; None if the result has none, or it is not a number."""
        value: float | None = self.result.get("metrics", {}).get(name)
        return None if value is None else float(value)

    def number(self, path: str) -> float | None:
        """Return a number of the result by its path, keys joined by dots; None if there is none."""
        value = value_at(self.result, path)
        return float(value) if is_number(value) else None

    def text(self, path: str) -> str:
        """Return a field of the result by its path, as text; empty if there is none."""
        value = value_at(self.result, path)
        return "" if value is None else str(value)


def find_runs(directories: Sequence[Path]) -> list[Run]:
    """Return every run in or below the directories, see `rnnexp.runs.listing.search.find_run_directories`."""
    return [
        read_run(path) if problem is None else Run(path, problem.status, problem.reason)
        for path, problem in find_run_directories(directories)
    ]


def read_run(path: Path) -> Run:
    """Return the run of a directory as far as it can be read; the reason of an `unreadable` run names the file.

    The files may be damaged or somebody else's, so nothing in them ends the report over other runs.
    """
    files = RunDirectory(path)
    config: Mapping[str, Any] | None = None
    record: Mapping[str, Any] = {}
    facts: dict[str, Primitive] = {}
    result: Mapping[str, Any] = {}
    reason = since = own_hash = ""
    try:
        read = files.read_unverified_config()
        facts = _facts(read, files.config_file, {})
        # A config whose identity cannot be computed cannot be grouped.
        own_hash = config_hash(read)
        config = read
        record = files.read_status()
        status = _status(record, own_hash, files.status_file)
        since = str(record.get(f"{status}_since", ""))
        if status is Status.RUNNING:
            status, reason, since, _ = files.observe()
        if status is Status.DONE:
            result = _read_result(files, config, own_hash)
            facts = _facts(config, files.config_file, result)
    except (UserError, OSError) as error:
        status, reason, result = Status.UNREADABLE, str(error), {}
    # The value of a key that no check names may be of a kind that no function expects.
    except Exception as error:
        status, result = Status.UNREADABLE, {}
        reason = f"its files are not those of a run ({type(error).__name__}: {first_line(error)})"
    code, damage = _read_code(files.environment_file)
    if result:
        try:
            result = {**result, "inference": read_inference(files.inference_file, own_hash)}
        except UserError as error:
            result = {**result, "inference": {}}
            damage.append(str(error))
    return Run(
        path,
        status,
        reason or str(record.get("reason", "")),
        since=since,
        queued=str(record.get("queued_since", "")),
        config=config,
        facts=facts,
        config_hash=str(record.get("config_hash", "")),
        result=result,
        code=code,
        damage=damage,
    )


def _status(record: Mapping[str, Any], own_hash: str, file: Path) -> Status:
    try:
        status = Status(record["status"])
    except (KeyError, ValueError):
        raise UserError(f"{file} has no known status: {brief(record.get('status'))}") from None
    for name in ("reason", f"{status}_since"):
        if not isinstance(record.get(name, ""), str):
            raise UserError(f"{file}: {name} must be a text, not {brief(record[name])}")
    _require_hash(record, own_hash, file)
    return status


def _require_hash(record: Mapping[str, Any], own: str, file: Path) -> None:
    """Raise UserError if a record is not about this config: one of both was changed or copied."""
    if (recorded := record.get("config_hash")) != own:
        raise UserError(
            f"{file} is about another config ({brief(recorded)}) than config.yaml ({own!r}): one was changed later"
        )


def _facts(config: Mapping[str, Any], file: Path, result: Mapping[str, Any]) -> dict[str, Primitive]:
    try:
        kind = kind_of_run(config["task"]["_target_"], result.get("task_kind"))
        return short_keys(config, kind.name, kind.dataset_keys, value_at(result, "model.num_parameters"))
    except (KeyError, TypeError, AttributeError) as error:
        raise UserError(f"{file} is not the config of a run ({type(error).__name__}: {error})") from None


def _read_result(files: RunDirectory, config: Mapping[str, Any], own_hash: str) -> dict[str, Any]:
    result = read_json(files.result_file)
    kind = kind_of_run(config["task"]["_target_"], result.get("task_kind"))
    validate_result(result, kind, files.result_file)
    _require_hash(result, own_hash, files.result_file)
    if (status := result.get("status")) != Status.DONE:
        raise UserError(f"{files.result_file} has the status {status!r}, but {files.status_file.name} says done")
    return result


def _read_code(file: Path) -> tuple[str, list[str]]:
    """Return the commit of the code, and the reasons why it cannot be read."""
    try:
        git = read_json(file).get("git")
    except UserError as error:
        return UNKNOWN, [str(error)] if file.exists() else []
    if git is None or (isinstance(git, Mapping) and git.get("commit") is None):
        return UNKNOWN, []
    if not isinstance(git, Mapping) or not isinstance(git["commit"], str):
        return UNKNOWN, [f"{file}: git.commit must be a text"]
    return f"{git['commit'][:10]}{' with changes' if git.get('dirty') else ''}", []


def _with_names_of_files(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return a config in which the digests of the user's own files begin with the file's name, to be read by people."""
    files = config.get("inputs") or ()
    inputs = [{**file, "sha256": f"{PurePath(file['path']).name} ({file['sha256'][:8]})"} for file in files]
    return {**config, "inputs": inputs}
