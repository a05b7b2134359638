"""The directory of a run, which has everything that evaluate, report and resume need."""

import logging
import os
import re
import shlex
import shutil
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UserError, describe_out_of_memory
from rnnexp.core.files.atomic import TEMPORARY, put_aside, read_json, remove_temporary_files, write_json
from rnnexp.core.files.directory_lock import ACQUIRE_SECONDS, LOCK_NAME, locked, observe_lock
from rnnexp.core.files.sealed_archive import is_whole
from rnnexp.core.progress import format_duration
from rnnexp.core.user_code import describe_user_code
from rnnexp.core.validation import did_you_mean_path
from rnnexp.tracking.config_file import read_config_file, read_yaml, require_groups, write_config_file, write_yaml
from rnnexp.tracking.identity import config_hash
from rnnexp.tracking.status import RunState, Status, may_be_transient, status_of

log = logging.getLogger(__name__)

SCHEMA_VERSION = 1
APPENDED = (".csv", ".log")
"""The endings of files that are written in place. Others are replaced."""
TRAIN = ("rnnexp", "train")
"""The command of which a run's overrides are the arguments."""
OTHER_OWN_NAMES = re.compile(rf"rank-\d+\.log|fit-.*\.txt|.*\.damaged(-\d+)?|{TEMPORARY.pattern}")
"""The names of files that a run may have many of."""


class RunDirectory:
    """The files of a run. No other module spells their names."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.config_file = path / "config.yaml"
        self.overrides_file = path / "overrides.yaml"
        self.status_file = path / "status.json"
        self.result_file = path / "result.json"
        self.metrics_file = path / "metrics.csv"
        self.environment_file = path / "environment.json"
        self.inference_file = path / "inference.json"
        self.log_file = path / "train.log"
        self.output_file = path / "output.log"
        self.predictions_file = path / "test_predictions.pt"
        self.figures = path / "figures"
        self.checkpoints = path / "checkpoints"
        self.best_checkpoint = self.checkpoints / "best.ckpt"
        self.last_checkpoint = self.checkpoints / "last.ckpt"
        self.previous_checkpoint = self.checkpoints / "previous.ckpt"
        self.average_checkpoint = self.checkpoints / "average.ckpt"
        self.translations_file = path / "test_translations.jsonl"
        self.gradient_flow_file = path / "gradient_flow.csv"
        self.samples_file = path / "samples.csv"
        self.slurm_file = path / "slurm.json"
        self.evaluate_log_file = path / "evaluate.log"
        self.evaluations = path / "evaluations"
        self.translations = path / "translations"
        self.exports = path / "exports"

    @classmethod
    def create(cls, parent: Path, name: str) -> "RunDirectory":
        """Make a new directory `<parent>/<timestamp>_<name>`; runs of the same second get different directories.

        Characters of the name that have a meaning in a path or a shell become hyphens.

        Raises:
            UserError: if the parent cannot be written.
        """
        slug = re.sub(r"[^\w.+-]+", "-", name)
        stem = f"{datetime.now().astimezone():%Y-%m-%d_%H-%M-%S}_{slug}"
        for attempt in range(10_000):
            path = parent / (stem if attempt == 0 else f"{stem}_{attempt}")
            try:
                _make_exclusively(path)
            except FileExistsError:
                continue
            return cls(path)
        raise UserError(f"{parent} already holds {attempt + 1} runs named {stem}; name another with paths.output_dir=")

    @classmethod
    def create_at(cls, path: Path) -> "RunDirectory":
        """Make a new directory of exactly that name, or use one that is empty or whose run was killed at its start.

        Raises:
            UserError: if it holds files, or cannot be written.
        """
        try:
            _make_exclusively(path)
        except FileExistsError:
            if not path.is_dir() or not _is_unused(path):
                raise UserError(
                    f"{path} exists and is not an empty directory: a run never overwrites another; "
                    "name a new one with paths.output_dir="
                ) from None
        return cls(path)

    @classmethod
    def of_finished_run(cls, path: Path) -> "RunDirectory":
        """Return the directory of an earlier run.

        Raises:
            UserError: if it is not a run directory.
        """
        if (run := cls(path.parent.parent)).checkpoints == path.parent and run.config_file.is_file():
            raise UserError(f"{path} is not a run directory, but a checkpoint in one: name {run.path}")
        if not path.is_dir():
            raise UserError(f"{path} is not a directory{did_you_mean_path(path)}")
        run = cls(path)
        if not run.config_file.is_file():
            raise UserError(f"{path} is not a run directory: it has no {run.config_file.name}")
        return run

    def require_own_files(self, *paths: Path) -> None:
        """Raise UserError for a path through which this run would write to another file, or wait for a reader.

        These are links out of the directory, files that are appended to and have a second name, pipes and devices.

        Args:
            paths: paths of this run; without any all files of the directory and its checkpoints.
        """
        root = self.path.resolve()
        for path in paths or (*self.path.iterdir(), *self.checkpoints.glob("*")):
            if not path.resolve().is_relative_to(root):
                raise UserError(f"{path} is a link to {path.resolve()}, outside the run directory: remove it")
            if not path.exists():
                continue
            if not (path.is_file() or path.is_dir()):
                raise UserError(f"{path} is a pipe or a device, not a file: remove it")
            if path.suffix in APPENDED and path.stat().st_nlink > 1 and not path.is_dir():
                raise UserError(f"{path} is a hard link, and its other name would change as well: copy it")

    @property
    def kept_checkpoints(self) -> list[Path]:
        """The checkpoints of single epochs that were kept, in the order of the epochs."""
        numbers = re.compile(r"\d+")
        return sorted(self.checkpoints.glob("epoch-*.ckpt"), key=lambda path: [*map(int, numbers.findall(path.stem))])

    def rank_log_file(self, rank: int) -> Path:
        """Return the file for the output of a rank; rank 0 writes to the terminal."""
        return self.path / f"rank-{rank}.log"

    def store_file(self, store: str) -> Path:
        """Return the file with the name of this run in a store of many runs, such as that of MLflow."""
        return self.path / f"{store}.json"

    def new_evaluation_file(self, now: datetime) -> Path:
        """Return the file for an evaluation at this time."""
        return self.evaluations / f"{time_stamp(now)}.json"

    def freeze(
        self,
        config: Mapping[str, Any],
        overrides: Sequence[str],
        code: Mapping[str, Any] | None = None,
        attempt: int = 1,
        reason: str = "",
    ) -> None:
        """Record what will run: the resolved config, the overrides that led to it, and the status `queued`.

        The times of a run that continues are kept.

        Args:
            config: the resolved config as plain values.
            overrides: the overrides as given on the command line.
            code: the code that will run, see `rnnexp.tracking.environment.git_state`; None if it is not compared.
            attempt: the number of this attempt to run it.
            reason: the reason for the status.

        Raises:
            LockedError: if another process writes to the directory.
        """
        with self.locked():
            self.checkpoints.mkdir(exist_ok=True)
            record = self._usable_status() if os.path.lexists(self.status_file) else {}
            record |= {
                "config_hash": config_hash(config),
                **({"code": dict(code)} if code else {}),
                "attempts": attempt,
            }
            self._write_status(record, Status.QUEUED, reason)
            # Comes last: with the config, whose hash is in the status, the directory is that of a run.
            self.write_config(config, overrides)

    def write_config(self, config: Mapping[str, Any], overrides: Sequence[str]) -> None:
        """Write overrides.yaml and config.yaml, which comes last: with it the directory is that of a run."""
        write_yaml(self.overrides_file, list(overrides))
        write_config_file(self.config_file, config)

    def restore_config(self, config: Mapping[str, Any], overrides: Sequence[str]) -> None:
        """Write the config of a run again if its file is damaged or was changed since the run ended; that is put aside.

        A file that is not newer than the record of the end counts as whole if it has every key at the top level, since
        reading the files of a large sweep takes too long.
        """
        try:
            text = self.config_file.read_text(encoding="utf-8")
        except (OSError, ValueError):
            text = ""
        problem = f"{self.config_file} is damaged"
        if all(f"\n{key}:" in f"\n{text}" for key in config):
            if self.config_file.stat().st_mtime <= self.status_file.stat().st_mtime:
                return
            try:
                self.read_config()
            except UserError as error:
                problem = str(error)
            else:
                return
        with self.locked():
            self._put_aside(self.config_file, problem)
            self.write_config(config, overrides)

    def read_config(self) -> dict[str, Any]:
        """Return the resolved config as plain values.

        Raises:
            UserError: if the file does not hold the config of a run, or another one than the run was started with.
        """
        config = self.read_unverified_config()
        self.require_own_config(config)
        return config

    def read_unverified_config(self) -> dict[str, Any]:
        """Return the config without comparing it with the record of the run.

        Raises:
            UserError: if the file does not hold the config of a run.
        """
        config = read_config_file(self.config_file)
        require_groups(config, self.config_file)
        return config

    def require_own_config(self, config: Mapping[str, Any]) -> None:
        """Raise UserError for another config than the run was started with, and for a status.json without its hash."""
        recorded = self.read_status().get("config_hash")
        try:
            here = config_hash(config)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{self.config_file} is not the config of a run ({type(error).__name__}: {error})"
            ) from None
        if recorded != here:
            raise UserError(
                f"{self.config_file} is not the config of this run (config_hash {here}, but {recorded} in "
                f"{self.status_file.name}): it was changed afterwards, or belongs to another run"
            )

    def find_overrides(self) -> list[str] | None:
        """Return the overrides as given on the command line; None if the file is missing or damaged."""
        try:
            overrides = read_yaml(self.overrides_file)
        except (OSError, UserError):
            return None
        return [str(override) for override in overrides] if isinstance(overrides, list) else None

    def read_overrides(self) -> list[str]:
        """Return the overrides as given on the command line; warn if they cannot be read, and return none."""
        overrides = self.find_overrides()
        if overrides is None:
            log.warning("%s cannot be read: the overrides of the run are not recorded again", self.overrides_file)
        return overrides or []

    @property
    def command(self) -> str:
        """The command line that trains the run once more; empty if its overrides cannot be read."""
        overrides = self.find_overrides()
        return "" if overrides is None else shlex.join([*TRAIN, *overrides])

    def locked(self, seconds: float = ACQUIRE_SECONDS) -> AbstractContextManager[None]:
        """Hold the lock of the directory within the block, see `rnnexp.core.files.directory_lock.locked`."""
        return locked(self.path, seconds)

    @property
    def status(self) -> Status:
        """The status of `observe`."""
        return self.observe().status

    def observe(self) -> RunState:
        """Return the state of the run: what status.json says, unless processes or files contradict it.

        A run whose process is gone was interrupted. A run is done if it has a result of the same config. A run
        without a readable status.json is `unreadable`.
        """
        try:
            record = self.read_status()
            status = _status_in(record, self.status_file)
        except UserError as error:
            return RunState(Status.UNREADABLE, str(error))
        since, identity = str(record.get(f"{status}_since") or ""), str(record.get("config_hash") or "")
        state = RunState(status, str(record.get("reason") or ""), since, identity)
        if status is Status.RUNNING:
            return self._observe_running(state)
        if status is Status.DONE and (problem := self._problem_of_result(identity)):
            return state._replace(status=Status.UNREADABLE, reason=problem)
        return state

    def describe_unfinished(self) -> str:
        """Return one line about a run that is not done; empty for one that is."""
        state = self.observe()
        if state.status is Status.DONE:
            return ""
        return f"{self.path} is {state.status}, not done{f': {state.reason}' if state.reason else ''}"

    def _observe_running(self, state: RunState) -> RunState:
        lock = observe_lock(self.path)
        if lock.is_held:
            who = f"{lock.holder}, heartbeat {format_duration(lock.age_seconds)} ago" if lock.holder else ""
            return state._replace(reason=who)
        age = lock.age_seconds if lock.holder else max(0.0, time.time() - self.status_file.stat().st_mtime)
        since = datetime.fromtimestamp(time.time() - age, UTC).isoformat(timespec="seconds")
        reason = f"its process ended without a record, last seen {format_duration(age)} ago"
        return state._replace(status=Status.INTERRUPTED, reason=reason, since=since)

    def _problem_of_result(self, identity: str) -> str:
        """Return why result.json is not the result of a run that is done; empty if it is."""
        try:
            result = read_json(self.result_file)
            _require_metrics(result, self.result_file)
        except UserError as error:
            return str(error)
        if result.get("status") != Status.DONE:
            return f"{self.result_file} is not that of a run that is done"
        if result.get("config_hash") != identity:
            return f"{self.result_file} is of another config ({result.get('config_hash')}) than this run ({identity})"
        return ""

    def read_status(self) -> dict[str, Any]:
        """Return the content of status.json: `status`, `reason`, and the time of every change, as recorded.

        Raises:
            UserError: if the file is missing or damaged.
        """
        return read_json(self.status_file)

    @property
    def recorded_status(self) -> Status:
        """The status in status.json, whatever became of the process; `unreadable` if the file has none."""
        try:
            return _status_in(self.read_status(), self.status_file)
        except UserError:
            return Status.UNREADABLE

    @property
    def has_no_end(self) -> bool:
        """Whether no process has recorded how the run ended."""
        return self.recorded_status in (Status.QUEUED, Status.RUNNING, Status.UNREADABLE)

    def set_status(self, status: Status, reason: str = "") -> None:
        """Replace status and reason in status.json and record the time of the change.

        Raises:
            LockedError: if another process writes to the directory.
        """
        with self.locked():
            self._write_status(self._usable_status(), status, reason)

    def _write_status(self, record: dict[str, Any], status: Status, reason: str = "", transient: bool = False) -> None:
        record |= {"status": status, "reason": reason, "transient": transient, "process_id": os.getpid()}
        record[f"{status}_since"] = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(self.status_file, record)

    def _usable_status(self) -> dict[str, Any]:
        """Return the content of status.json. A damaged file is put aside, and a new record begins with the config."""
        try:
            record = self.read_status()
            _status_in(record, self.status_file)
        except UserError as error:
            self._put_aside(self.status_file, error)
        else:
            return record
        try:
            return {"config_hash": config_hash(self.read_config())}
        except UserError:
            return {}

    def _put_aside(self, file: Path, problem: object) -> None:
        if os.path.lexists(file):
            log.warning("%s: renamed to %s", problem, put_aside(file).name)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Hold the lock and record `running` within the block, and afterwards how it ended. Exceptions pass through.

        Raises:
            LockedError: if another process writes to the directory.
            UserError: if the run is done.
        """
        with self.locked():
            if self.status is Status.DONE:
                raise UserError(f"{self.path} is done: it is not run again")
            self.remove_leftovers()
            self.set_status(Status.RUNNING)
            try:
                yield
            except BaseException as error:
                reason = (
                    describe_user_code(error) or describe_out_of_memory(error) or str(error) or type(error).__name__
                )
                self.end(status_of(error), reason, may_be_transient(error))
                raise
            else:
                self.end(Status.DONE)

    def remove_leftovers(self) -> None:
        """Delete the temporary files of a process that was killed. The caller holds the lock."""
        remove_temporary_files(self.path)
        for directory in (self.checkpoints, self.figures):
            if not directory.is_symlink():
                remove_temporary_files(directory)

    def clear(self) -> None:
        """Delete the files of an attempt that cannot continue, except its output. The caller holds the lock.

        Files that are not those of a run stay. Checkpoints that can be read are put aside.
        """
        if any(is_whole(path) for path in self.checkpoints.glob("*.ckpt")):
            log.warning("%s are kept as %s: the run begins anew", self.checkpoints, put_aside(self.checkpoints).name)
        for directory in self._own_directories:
            if directory.is_dir() and not directory.is_symlink():
                shutil.rmtree(directory)
            else:
                directory.unlink(missing_ok=True)
        for file in [*self._own_files, *self.path.glob("rank-*.log"), *self.path.glob("fit-*.txt")]:
            if file.is_dir() and not file.is_symlink():
                put_aside(file)
            else:
                file.unlink(missing_ok=True)

    @property
    def _own_directories(self) -> list[Path]:
        return [
            *(self.checkpoints, self.figures, self.evaluations, self.translations, self.exports),
            *(self.path / name for name in ("wandb", "tensorboard")),
        ]

    @property
    def _own_files(self) -> list[Path]:
        return [
            *(self.config_file, self.overrides_file, self.status_file, self.result_file, self.metrics_file),
            *(self.environment_file, self.log_file, self.predictions_file, self.translations_file),
            *(self.gradient_flow_file, self.samples_file, self.slurm_file, self.evaluate_log_file),
            *(self.inference_file, *(self.store_file(store) for store in ("mlflow", "trackio"))),
        ]

    @property
    def foreign_entries(self) -> list[str]:
        """The names in the directory that no program of rnnexp gives."""
        return sorted(entry.name for entry in self.path.iterdir() if not self._is_own(entry.name))

    def _is_own(self, name: str) -> bool:
        own = {path.name for path in (*self._own_directories, *self._own_files, self.output_file)}
        return name in {*own, LOCK_NAME, ".hydra", "report"} or OTHER_OWN_NAMES.fullmatch(name) is not None

    def require_not_overwritten(self, output: Path) -> None:
        """Raise UserError for an output that would replace a file of the run, or one that the run has read."""
        place, here = output.resolve(), self.path.resolve()
        if place.is_relative_to(here) and self._is_own(place.relative_to(here).parts[0]):
            raise UserError(f"output {output} is a file of the run {self.path} and would overwrite it: name another")
        if any(Path(file["path"]).resolve() == place for file in self.read_config().get("inputs") or ()):
            raise UserError(f"output {output} is an input of the run {self.path} and would overwrite it: name another")

    @property
    def next_attempt(self) -> int:
        """The number of the attempt that starts next: 1, unless status.json records one that has begun."""
        try:
            record = self.read_status()
        except UserError:
            return 1
        before = record.get("attempts")
        return (before if isinstance(before, int) else 0) + (record.get("status") != Status.QUEUED or not before)

    def end(self, status: Status, reason: str = "", transient: bool = False) -> None:
        """Record in result.json and then in status.json how the run ended.

        Args:
            status: the new status.
            reason: the reason for it.
            transient: whether the reason may have passed when the run starts again.

        Raises:
            LockedError: if another process writes to the directory.
            OSError: if `done` cannot be written.
        """
        try:
            with self.locked():
                record = self._usable_status()
                # A run that fails has a result too, so that a report lists it.
                result = self._usable_result() | {"status": status, "reason": reason}
                write_json(self.result_file, result | {"config_hash": record.get("config_hash")})
                self._write_status(record, status, reason, transient)
        except OSError:
            # If the disk is full, the error that ended the run says so, and this one must not replace it.
            if status == Status.DONE:
                raise

    def _usable_result(self) -> dict[str, Any]:
        try:
            result = read_json(self.result_file)
            _require_metrics(result, self.result_file)
        except UserError as error:
            self._put_aside(self.result_file, error)
            return {"schema_version": SCHEMA_VERSION, "metrics": {}}
        return result

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write result.json."""
        write_json(self.result_file, {"schema_version": SCHEMA_VERSION, "status": self.status, **result})


def _status_in(record: Mapping[str, Any], file: Path) -> Status:
    status = record.get("status")
    try:
        return Status(str(status))
    except ValueError:
        raise UserError(f"{file} has no status, but {status!r}; was it cut short?") from None


def _require_metrics(result: Mapping[str, Any], file: Path) -> None:
    if not isinstance(result.get("metrics"), dict):
        raise UserError(f"{file} holds no metrics")


def _is_unused(path: Path) -> bool:
    """Return whether a directory is empty, but for what a process that was killed before it wrote a config left."""
    return all(
        entry.name in (LOCK_NAME, "overrides.yaml", "status.json")
        or TEMPORARY.fullmatch(entry.name)
        or (entry.name == "checkpoints" and entry.is_dir() and not any(entry.iterdir()))
        for entry in path.iterdir()
    )


def time_stamp(now: datetime) -> str:
    """Return a time as part of the name of a file or a directory: `2026-01-31_23-59-59-000001`."""
    return f"{now:%Y-%m-%d_%H-%M-%S-%f}"


def _make_exclusively(path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.mkdir()
    except FileExistsError:
        if path.parent.is_dir():
            raise
        raise UserError(f"cannot make the run directory {path}: {path.parent} is a file") from None
    except OSError as error:
        raise UserError(
            f"cannot make the run directory {path}: {error.strerror}; name another with paths.output_dir="
        ) from None
