"""A run as it is listed: its files are read when a value of them is needed."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from typing import Any, NamedTuple

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import find_json
from rnnexp.runs.listing.search import FoundRun, find_run_directories
from rnnexp.tasks.registry import OF_BEST, Measure, TaskKind, kind_of_run, plain_name
from rnnexp.tracking.keys import dataset_name
from rnnexp.tracking.metrics_file import newest_metric
from rnnexp.tracking.run_directory import RunDirectory
from rnnexp.tracking.status import RunState


class Score(NamedTuple):
    """A value of a metric."""

    metric: str
    value: float


class ListedRun:
    """A run directory, whose files may be damaged or somebody else's: what cannot be read is absent.

    Args:
        found: the directory, see `rnnexp.runs.listing.search`.
    """

    def __init__(self, found: FoundRun) -> None:
        self.path = found.path
        self.files = RunDirectory(found.path)
        self._problem = found.problem

    @cached_property
    def state(self) -> RunState:
        """The state of the run."""
        return self._problem or self.files.observe()

    @cached_property
    def config(self) -> Mapping[str, Any]:
        """The resolved config; empty if it cannot be read."""
        try:
            return self.files.read_unverified_config()
        except (UserError, OSError):
            return {}

    @cached_property
    def result(self) -> Mapping[str, Any]:
        """The content of result.json; empty if it cannot be read."""
        return find_json(self.files.result_file)

    @cached_property
    def metrics(self) -> dict[str, float]:
        """The metrics of result.json that are numbers."""
        metrics = self.result.get("metrics")
        if not isinstance(metrics, Mapping):
            return {}
        return {name: float(value) for name, value in metrics.items() if type(value) in (int, float)}

    @property
    def kind(self) -> TaskKind:
        """The row of its task in the registry."""
        return kind_of_run(str(self.config.get("task", {}).get("_target_")), self.result.get("task_kind"))

    @property
    def monitor(self) -> str:
        """The metric that decides which of its epochs is best; empty without a readable config."""
        monitor = self.config.get("monitor")
        return monitor if isinstance(monitor, str) else ""

    @property
    def dataset(self) -> str:
        """The short name of its data set; empty without a readable config."""
        try:
            return dataset_name(self.config["data"], self.kind.dataset_keys)
        except (KeyError, TypeError, AttributeError):
            return ""

    @cached_property
    def score(self) -> Score | None:
        """The best value of the monitored metric; of a run without a result its latest value."""
        name = self.monitor
        if not name:
            return None
        best = self.metrics.get(f"{name}{OF_BEST}", self.metrics.get(name))
        if best is not None:
            return Score(name, best)
        newest = newest_metric(self.files.metrics_file, [name])
        return newest and Score(*newest)

    @property
    def test_score(self) -> Score | None:
        """The main measure of its task on the test set."""
        value = self.metrics.get(self.kind.main.name)
        return None if value is None else Score(self.kind.main.name, value)

    def find_score(self, metric: str) -> Score | None:
        """Return a metric of result.json by its name."""
        value = self.metrics.get(metric)
        return None if value is None else Score(metric, value)

    def higher_is_better(self, metric: str) -> bool | None:
        """Return the direction of a metric by the config or the registry; None if neither knows it."""
        name = plain_name(metric)
        if name == self.monitor and self.config.get("monitor_mode") in ("max", "min"):
            return bool(self.config["monitor_mode"] == "max")

        def is_of(measure: Measure) -> bool:
            return name in (measure.name, measure.validation, measure.name.replace("test/", "train/", 1))

        return next((measure.higher_is_better for measure in self.kind.measures if is_of(measure)), None)

    @property
    def age_seconds(self) -> int | None:
        """The seconds since the run reached its status; None if the record has no time."""
        try:
            since = datetime.fromisoformat(self.state.since)
            since = since if since.tzinfo else since.replace(tzinfo=UTC)
            return max(0, round((datetime.now(UTC) - since).total_seconds()))
        except (ValueError, OverflowError):
            return None

    @cached_property
    def overrides(self) -> list[str] | None:
        """The overrides of its command line; None if they cannot be read."""
        return self.files.find_overrides()

    @property
    def command(self) -> str:
        """The command line that trains it once more; empty if its overrides cannot be read."""
        return self.files.command


def list_runs(directories: Sequence[Path]) -> list[ListedRun]:
    """Return every run in or below the directories, ordered by path.

    Raises:
        UserError: if a directory does not exist, or holds no run.
    """
    return [ListedRun(found) for found in find_run_directories(directories)]


def as_text(value: object) -> str:
    """Return a value of a config as a command line spells it: `true`, `null`, `0.001`, `[a,b]`."""
    if isinstance(value, str):
        return value
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str).replace('"', "")
