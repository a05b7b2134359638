"""The commands that read runs: ls, best, show and diff."""

import math
import shlex
import sys
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import find_json
from rnnexp.core.printable import shown
from rnnexp.core.types import Primitive
from rnnexp.core.validation import did_you_mean, quote_override
from rnnexp.runs.listing.listed_run import ListedRun, Score, as_text
from rnnexp.runs.listing.output import Record, format_age, format_value, write_json, write_table
from rnnexp.runs.listing.search import FoundRun
from rnnexp.tracking.identity import identity_of
from rnnexp.tracking.keys import flattened, short_keys, value_at
from rnnexp.tracking.run_directory import TRAIN, RunDirectory
from rnnexp.tracking.status import Status

MEASURED = (
    *("num_epochs", "num_steps", "num_test_samples", "model.num_parameters", "model.backend"),
    *("timing.fit_seconds", "timing.samples_per_second", "timing.tokens_per_second", "peak_memory_bytes"),
    *("device.name", "precision.effective"),
)
"""Values of result.json that are shown beside the metrics."""


def show_list(runs: Sequence[ListedRun], *, as_json: bool) -> None:
    """Write a line for each run, the newest last."""
    runs = sorted(runs, key=lambda run: -math.inf if run.age_seconds is None else -run.age_seconds)
    records = [_list_record(run) for run in runs]
    columns: dict[str, Callable[[Record], str]] = {
        "run": lambda record: str(record["run"]),
        "status": lambda record: str(record["status"]),
        "metric, or reason": lambda record: _metric_cell(record) or str(record["reason"]),
        "age": lambda record: format_age(record["age_seconds"]),
        "command": _short_commands(runs),
    }
    names = ("run", "status", "metric", "value", "since", "age_seconds", "command", "reason")
    write_table(records, columns, names, as_json=as_json)


def _short_commands(runs: Sequence[ListedRun]) -> Callable[[Record], str]:
    """Return the function that makes the command of a record without the overrides that all runs share."""
    known = {str(run.path): run.overrides for run in runs if run.overrides is not None}
    shared = set.intersection(*map(set, known.values())) if len(known) > 1 else set[str]()

    def command(record: Record) -> str:
        overrides = known.get(str(record["run"]))
        if overrides is None:
            return ""
        own = [shlex.quote(override) for override in overrides if override not in shared]
        return " ".join([*TRAIN, *(["..."] if len(own) < len(overrides) else []), *own])

    return command


def _list_record(run: ListedRun) -> dict[str, Primitive]:
    score = run.score
    return {
        "run": str(run.path),
        "status": str(run.state.status),
        "metric": score and score.metric,
        "value": score and score.value,
        "since": run.state.since,
        "age_seconds": run.age_seconds,
        "command": run.command,
        "reason": run.state.reason,
    }


def show_best(runs: Sequence[ListedRun], by: str | None, mode: str | None, top: int, *, as_json: bool) -> None:
    """Write the best runs of each data set.

    Args:
        runs: the runs to choose from.
        by: a metric of result.json; None for the metric that each run monitors.
        mode: `max` or `min`, which values are better; None for the direction that config and registry know.
        top: how many runs of each data set to write.
        as_json: write JSON.

    Raises:
        UserError: if no run has the metric, or its direction is unknown.
    """
    groups: dict[tuple[str, str], list[tuple[float, ListedRun]]] = defaultdict(list)
    for run in runs:
        score = run.score if by is None else run.find_score(by)
        if score is not None and math.isfinite(score.value):
            groups[run.dataset, score.metric].append((score.value, run))
    if not groups:
        raise UserError(_describe_no_metric(runs, by))
    records = []
    for (dataset, metric), scored in sorted(groups.items(), key=lambda item: item[0]):
        sign = -1 if _is_higher_better(scored[0][1], metric, mode) else 1
        for value, run in sorted(scored, key=lambda pair: (sign * pair[0], pair[1].path))[:top]:
            records.append(_best_record(run, dataset, Score(metric, value)))
    columns: dict[str, Callable[[Record], str]] = {
        "data": lambda record: str(record["dataset"]),
        "metric": _metric_cell,
        "test": lambda record: _metric_cell({"metric": record["test_metric"], "value": record["test_value"]}),
        "run": lambda record: str(record["run"]),
        "command": _short_commands(runs),
    }
    names = ("dataset", "metric", "value", "test_metric", "test_value", "run", "command")
    write_table(records, columns, names, as_json=as_json)
    if others := len(runs) - sum(map(len, groups.values())):
        what = "the metric that they monitor" if by is None else by
        print(f"left out: {others} of {len(runs)} runs, without a value of {what}", file=sys.stderr)


def _best_record(run: ListedRun, dataset: str, score: Score) -> dict[str, Primitive]:
    test = run.test_score
    return {
        "dataset": dataset,
        "metric": score.metric,
        "value": score.value,
        "test_metric": test and test.metric,
        "test_value": test and test.value,
        "run": str(run.path),
        "command": run.command,
    }


def _describe_no_metric(runs: Sequence[ListedRun], by: str | None) -> str:
    if by is None:
        return f"none of {len(runs)} runs has a value of the metric that it monitors"
    known = sorted({name for run in runs for name in run.metrics})
    return f"none of {len(runs)} runs has the metric {by!r}{did_you_mean(by, known)}"


def _is_higher_better(run: ListedRun, metric: str, mode: str | None) -> bool:
    is_higher_better = run.higher_is_better(metric) if mode is None else mode == "max"
    if is_higher_better is None:
        raise UserError(f"which values of {metric} are better? Add --mode max or --mode min")
    return is_higher_better


def show_run(path: Path, *, as_json: bool) -> None:
    """Write the state, the settings and the values of a run.

    Raises:
        UserError: if the directory is not that of a run.
    """
    run = _open(path)
    if as_json:
        state = run.state._asdict() | {"status": str(run.state.status), "age_seconds": run.age_seconds}
        files = {"config": run.config, "result": run.result, "environment": find_json(run.files.environment_file)}
        write_json({"run": str(path), **state, "command": run.command, **files})
        return
    pairs = {**_state_of(run), **_settings_of(run), **_values_of(run)}
    records: list[Record] = [{"key": key, "value": value} for key, value in pairs.items() if value not in (None, "")]
    columns: dict[str, Callable[[Record], str]] = {
        "key": lambda record: str(record["key"]),
        "value": lambda record: format_value(record["value"]),
    }
    write_table(records, columns, ("key", "value"), as_json=False)


def _state_of(run: ListedRun) -> dict[str, Primitive]:
    state, environment = run.state, find_json(run.files.environment_file)
    git = environment.get("git")
    is_unfinished = state.status in (Status.INTERRUPTED, Status.FAILED)
    return {
        "run": str(run.path),
        "status": str(state.status),
        "reason": state.reason,
        "since": state.since,
        "age": format_age(run.age_seconds),
        "command": run.command,
        "continue": f"rnnexp train {quote_override('resume', run.path)}" if is_unfinished else None,
        "host": as_text(environment.get("host", "")),
        "code": as_text(git.get("commit", "")) if isinstance(git, Mapping) else None,
    }


def _settings_of(run: ListedRun) -> dict[str, Primitive]:
    try:
        number = value_at(run.result, "model.num_parameters")
        keys = short_keys(run.config, run.kind.name, run.kind.dataset_keys, number)
    except (KeyError, TypeError, AttributeError):
        keys = {}
    keys.pop("num_parameters", None)
    return {
        "seed": run.config.get("seed"),
        **{key: None if value is None else as_text(value) for key, value in keys.items()},
    }


def _values_of(run: ListedRun) -> dict[str, Primitive]:
    return {**_measured(run), **dict(sorted(run.metrics.items()))}


def _measured(run: ListedRun) -> dict[str, Primitive]:
    values = flattened(run.result)
    return {key: values[key] for key in MEASURED if isinstance(values.get(key), str | int | float)}


def show_difference(first: Path, second: Path, *, as_json: bool) -> None:
    """Write the config keys in which two runs differ, and their values.

    Raises:
        UserError: if a directory is not that of a run, or its config cannot be read.
    """
    runs = [_open(path) for path in (first, second)]
    one, two = (_identity(run) for run in runs)
    records = [
        _difference("config", key, _setting(one, key), _setting(two, key))
        for key in dict.fromkeys((*one, *two))
        if _compared(one, key) != _compared(two, key)
    ]
    values = [{**run.metrics, **_measured(run)} for run in runs]
    keys = sorted({*values[0], *values[1]})
    records += [_difference("result", key, *(each.get(key) for each in values)) for key in keys]
    columns: dict[str, Callable[[Record], str]] = {
        "": lambda record: str(record["of"]),
        "key": lambda record: str(record["key"]),
        f"1: {shown(str(first))}": lambda record: format_value(record["first"]),
        f"2: {shown(str(second))}": lambda record: format_value(record["second"]),
        "2 - 1": lambda record: format_value(record["difference"]),
    }
    write_table(records, columns, ("of", "key", "first", "second", "difference"), as_json=as_json)
    for run in runs:
        if run.state.status is not Status.DONE:
            print(shown(run.files.describe_unfinished()), file=sys.stderr)


def _compared(config: Mapping[str, Any], key: str) -> tuple[object, ...]:
    """Return what is different if a key is: 1, a number of batches, and 1.0, all of them, are equal in Python."""
    return (config[key], type(config[key])) if key in config else ()


def _difference(of: str, key: str, first: Primitive, second: Primitive) -> dict[str, Primitive]:
    is_number = all(type(value) in (int, float) for value in (first, second))
    difference = second - first if is_number else None  # type: ignore[operator]
    return {"of": of, "key": key, "first": first, "second": second, "difference": difference}


def _setting(config: Mapping[str, Any], key: str) -> Primitive:
    """Return a value of a config as it is compared: a number, or a text; None if the config does not have the key."""
    if key not in config:
        return None
    value = config[key]
    return value if type(value) in (int, float) else as_text(value)


def _identity(run: ListedRun) -> dict[str, Any]:
    """Return the keys of a config that affect the results, joined by dots."""
    config = run.files.read_unverified_config()
    try:
        return flattened(identity_of(config))
    except (AttributeError, KeyError, TypeError, ValueError):
        return flattened(config)


def _open(path: Path) -> ListedRun:
    RunDirectory.of_finished_run(path)
    return ListedRun(FoundRun(path))


def _metric_cell(record: Record) -> str:
    return "" if record["metric"] is None else f"{record['metric']} {format_value(record['value'])}"
