"""The directory of a run, which has everything that evaluate, report and resume need."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from rnnexp.core.atomic_files import read_json, write_json, write_text
from rnnexp.core.errors import UserError
from rnnexp.core.validation import did_you_mean_path
from rnnexp.tracking.config_file import read_config_file, write_config_file
from rnnexp.tracking.identity import config_hash
from rnnexp.tracking.status import Status, may_be_transient, status_of

SCHEMA_VERSION = 1


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
        self.slurm_file = path / "slurm.json"
        self.evaluate_log_file = path / "evaluate.log"
        self.evaluations = path / "evaluations"
        self.translations = path / "translations"

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
        """Make a new directory of exactly that name, or use an empty one.

        Raises:
            UserError: if it holds files, or cannot be written.
        """
        try:
            _make_exclusively(path)
        except FileExistsError:
            if not path.is_dir() or any(path.iterdir()):
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
        if not path.is_dir():
            raise UserError(f"{path} is not a directory{did_you_mean_path(path)}")
        run = cls(path)
        if not run.config_file.is_file():
            raise UserError(f"{path} is not a run directory: it has no {run.config_file.name}")
        return run

    @property
    def kept_checkpoints(self) -> list[Path]:
        """The checkpoints of single epochs that were kept, in the order of the epochs."""
        return sorted(self.checkpoints.glob("epoch-*.ckpt"))

    def rank_log_file(self, rank: int) -> Path:
        """Return the file for the output of a rank; rank 0 writes to the terminal."""
        return self.path / f"rank-{rank}.log"

    def new_evaluation_file(self, now: datetime) -> Path:
        """Return the file for an evaluation at this time."""
        return self.evaluations / f"{_file_stamp(now)}.json"

    def freeze(
        self,
        config: Mapping[str, Any],
        overrides: Sequence[str],
        code: Mapping[str, Any] | None = None,
        attempt: int = 1,
    ) -> None:
        """Record what will run: the resolved config, the overrides that led to it, and the status `queued`.

        Args:
            config: the resolved config as plain values.
            overrides: the overrides as given on the command line.
            code: the code that will run, see `rnnexp.tracking.environment.git_state`; None if it is not compared.
            attempt: the number of this attempt to run it.
        """
        self.checkpoints.mkdir()
        self.write_config(config, overrides)
        record = {"config_hash": config_hash(config), **({"code": dict(code)} if code else {}), "attempts": attempt}
        write_json(self.status_file, record)
        self.set_status(Status.QUEUED)

    def write_config(self, config: Mapping[str, Any], overrides: Sequence[str]) -> None:
        """Write config.yaml and overrides.yaml."""
        write_config_file(self.config_file, config)
        write_text(self.overrides_file, yaml.safe_dump(list(overrides), allow_unicode=True))

    def read_config(self) -> dict[str, Any]:
        """Return the resolved config as plain values.

        Raises:
            UserError: if the file does not hold a config.
        """
        return read_config_file(self.config_file)

    def read_overrides(self) -> list[str]:
        """Return the overrides as given on the command line."""
        return [str(override) for override in yaml.safe_load(self.overrides_file.read_text(encoding="utf-8")) or ()]

    @property
    def status(self) -> Status:
        """The state in status.json.

        Raises:
            UserError: if the file is missing, damaged or names no status.
        """
        status = self.read_status().get("status")
        try:
            return Status(str(status))
        except ValueError:
            raise UserError(f"{self.status_file} has no status, but {status!r}; was it cut short?") from None

    def read_status(self) -> dict[str, Any]:
        """Return the content of status.json: `status`, `reason`, and the time of every change."""
        return read_json(self.status_file)

    def set_status(self, status: Status, reason: str = "", transient: bool = False) -> None:
        """Replace status and reason in status.json and record the time of the change.

        Args:
            status: the new status.
            reason: the reason for it.
            transient: whether the reason may have passed when the run starts again.
        """
        record = read_json(self.status_file)
        record |= {"status": status, "reason": reason, "transient": transient, "process_id": os.getpid()}
        record[f"{status}_since"] = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(self.status_file, record)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Record `running` within the block, and afterwards how it ended. Exceptions pass through."""
        self.set_status(Status.RUNNING)
        try:
            yield
        except BaseException as error:
            self.end(status_of(error), str(error) or type(error).__name__, may_be_transient(error))
            raise
        else:
            self.end(Status.DONE)

    @property
    def next_attempt(self) -> int:
        """The number of the attempt that starts next: 1, unless status.json records one that has begun."""
        try:
            record = self.read_status()
        except UserError:
            return 1
        before = record.get("attempts")
        return (before if isinstance(before, int) else 0) + (record.get("status") != Status.QUEUED or not before)

    def record_attempt(self, number: int) -> None:
        """Record the number of the attempt that starts next in status.json."""
        write_json(self.status_file, self.read_status() | {"attempts": number})

    def end(self, status: Status, reason: str = "", transient: bool = False) -> None:
        """Record in status.json and in result.json how the run ended, see `set_status`.

        Raises:
            OSError: if `done` cannot be written.
        """
        try:
            self.set_status(status, reason, transient)
            # A run that fails has a result too, so that a report lists it.
            result = read_json(self.result_file) if self.result_file.exists() else {"schema_version": SCHEMA_VERSION}
            write_json(self.result_file, result | {"status": status, "reason": reason})
        except OSError:
            # If the disk is full, the error that ended the run says so, and this one must not replace it.
            if status == Status.DONE:
                raise

    def write_result(self, result: Mapping[str, Any]) -> None:
        """Write result.json."""
        write_json(self.result_file, {"schema_version": SCHEMA_VERSION, "status": self.status, **result})


def _file_stamp(now: datetime) -> str:
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
