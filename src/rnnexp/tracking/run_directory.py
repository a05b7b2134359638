"""A run's own directory: complete by itself, so that evaluate, report and resume need it and nothing else."""

import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import yaml

from rnnexp.core.atomic_files import read_json, write_json, write_text
from rnnexp.core.errors import DivergedError, InterruptedRunError, PrunedError, UnsupportedError, UserError
from rnnexp.core.validation import did_you_mean
from rnnexp.tracking.identity import config_hash

STATUSES = ("queued", "running", "done", "failed", "unsupported", "diverged", "pruned", "interrupted")
SCHEMA_VERSION = 1


class RunDirectory:
    """The files of one run, under fixed names."""

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
        self.average_checkpoint = self.checkpoints / "average.ckpt"
        self.translations_file = path / "test_translations.jsonl"
        self.gradient_flow_file = path / "gradient_flow.csv"
        self.slurm_file = path / "slurm.json"

    @classmethod
    def create(cls, parent: Path, name: str) -> "RunDirectory":
        """A new directory `<parent>/<timestamp>_<name>`; two runs of one second get two directories.

        Characters of the name that mean something in a path or a shell become hyphens.

        Raises:
            UserError: when the place cannot be written.
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
        """A new directory of exactly that name; an empty one that stands there is taken.

        Raises:
            UserError: when it holds files already, or cannot be written.
        """
        try:
            _make_exclusively(path)
        except FileExistsError:
            if not path.is_dir() or any(path.iterdir()):
                raise UserError(
                    f"{path} exists and is not an empty directory: a run never writes over another; "
                    "name a new one with paths.output_dir="
                ) from None
        return cls(path)

    @classmethod
    def of_finished_run(cls, path: Path) -> "RunDirectory":
        """The directory of a run that was recorded before.

        Raises:
            UserError: when it is not a run directory.
        """
        if not path.is_dir():
            siblings = [entry.name for entry in path.parent.iterdir()] if path.parent.is_dir() else []
            raise UserError(f"{path} is not a directory{did_you_mean(path.name, siblings)}")
        run = cls(path)
        if not run.config_file.is_file():
            raise UserError(f"{path} is not a run directory: it has no {run.config_file.name}")
        return run

    @property
    def kept_checkpoints(self) -> list[Path]:
        """Those of the epochs that were kept, by epoch."""
        return sorted(self.checkpoints.glob("epoch-*.ckpt"))

    def freeze(
        self, config: Mapping[str, Any], overrides: Sequence[str], code: Mapping[str, Any] | None = None
    ) -> None:
        """Writes down what will run: the resolved config, what was typed to get it, and that it has not begun.

        Args:
            code: which code will run it, as `git_state` tells, where somebody will compare it.
        """
        self.checkpoints.mkdir()
        self.write_config(config, overrides)
        write_json(self.status_file, {"config_hash": config_hash(config), **({"code": dict(code)} if code else {})})
        self.set_status("queued")

    def write_config(self, config: Mapping[str, Any], overrides: Sequence[str]) -> None:
        write_text(self.config_file, yaml.safe_dump(dict(config), sort_keys=False, allow_unicode=True))
        write_text(self.overrides_file, yaml.safe_dump(list(overrides), allow_unicode=True))

    def read_config(self) -> dict[str, Any]:
        try:
            config = yaml.safe_load(self.config_file.read_text())
        except (yaml.YAMLError, ValueError):
            config = None
        if not isinstance(config, dict):
            raise UserError(f"{self.config_file} does not hold a config; was it cut short?")
        return config

    def read_overrides(self) -> list[str]:
        """What was typed."""
        return [str(override) for override in yaml.safe_load(self.overrides_file.read_text()) or ()]

    @property
    def status(self) -> str:
        return str(self.read_status()["status"])

    def read_status(self) -> dict[str, Any]:
        """The content of status.json: `status`, `reason`, the instant of every change."""
        return read_json(self.status_file)

    def set_status(self, status: str, reason: str = "") -> None:
        """Replaces status.json's status and reason and notes the instant of every change."""
        record = read_json(self.status_file)
        record |= {"status": status, "reason": reason, "process_id": os.getpid()}
        record[f"{status}_since"] = datetime.now(UTC).isoformat(timespec="seconds")
        write_json(self.status_file, record)

    @contextmanager
    def recorded(self) -> Iterator[None]:
        """Status `running` within the block; afterwards what became of it, with the reason. Exceptions pass through."""
        self.set_status("running")
        try:
            yield
        except UnsupportedError as error:
            self.end("unsupported", _reason(error))
            raise
        except DivergedError as error:
            self.end("diverged", _reason(error))
            raise
        except PrunedError as error:
            self.end("pruned", _reason(error))
            raise
        except (InterruptedRunError, KeyboardInterrupt) as error:
            self.end("interrupted", _reason(error))
            raise
        except BaseException as error:
            self.end("failed", _reason(error))
            raise
        else:
            self.end("done")

    def end(self, status: str, reason: str = "") -> None:
        """Says what became of the run in status.json and in result.json.

        Raises:
            OSError: when the end of a run that is done cannot be written.
        """
        try:
            self.set_status(status, reason)
            # A run that ends badly leaves a result as well, so that a comparison shows it instead of a gap.
            result = read_json(self.result_file) if self.result_file.exists() else {"schema_version": SCHEMA_VERSION}
            write_json(self.result_file, result | {"status": status, "reason": reason})
        except OSError:
            # A full disk: the error that is under way already says so, and it must not be replaced by this one.
            if status == "done":
                raise

    def write_result(self, result: Mapping[str, Any]) -> None:
        write_json(self.result_file, {"schema_version": SCHEMA_VERSION, "status": self.status, **result})


def _reason(error: BaseException) -> str:
    return str(error) or type(error).__name__


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
