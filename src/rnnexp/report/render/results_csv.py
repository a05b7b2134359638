"""Render results.csv and results.parquet: a row for every run that was found, with any status."""

import csv
import io
from collections.abc import Mapping, Sequence
from importlib import import_module

from rnnexp.core.printable import NUMBER, spreadsheet_cell
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.runs import Run
from rnnexp.tasks.inference_record import NUMBERS as INFERENCE_NUMBERS
from rnnexp.tasks.inference_record import Conditions
from rnnexp.tasks.registry import OF_AVERAGE, OF_BEST
from rnnexp.tracking.keys import VERBATIM

FROM_RESULT = (
    *("model.state_size", "precision.requested", "precision.effective", "device.type", "device.name"),
    *("device.num_devices", "num_epochs", "num_steps", "num_test_samples", "timing.fit_seconds"),
    *("timing.total_seconds", "timing.samples_per_second", "timing.tokens_per_second", "peak_memory_bytes"),
)
"""Fields of result.json that are columns of the same name."""
FROM_INFERENCE = (
    *(f"inference.{path}" for path in INFERENCE_NUMBERS),
    *(f"inference.conditions.{name}" for name in Conditions._fields),
)
"""Fields of inference.json that are columns, if a run was measured."""
AXIS = "axis."
"""The beginning of the title of a column with a setting that differs in a group."""
NUMBERS = frozenset(
    {
        *("counts", "num_parameters", "model.state_size", "device.num_devices", "num_epochs", "num_steps"),
        *("num_test_samples", "peak_memory_bytes", *(name for name in FROM_RESULT if name.startswith("timing."))),
        *(f"inference.{path}" for path in INFERENCE_NUMBERS),
    }
)
"""The columns of numbers, besides metrics and settings."""


def results_csv(groups: Sequence[ComparisonGroup], ungrouped: Sequence[Run]) -> str:
    """Return the content of the file. Missing values are empty; `counts` is 1 for the runs behind the tables.

    Args:
        groups: the groups of runs.
        ungrouped: runs that belong to no group.
    """
    rows: list[dict[str, object]] = []
    for group in groups:
        for setting in group.settings:
            counted = {id(run) for run in setting.counted.values()}
            settings = {f"{AXIS}{axis.name}": axis.exact(setting.runs[0].flat_identity) for axis in group.axes}
            rows += [_row(run, group.title, setting.label, id(run) in counted) | settings for run in setting.runs]
    rows += [_row(run, "", "", False) for run in ungrouped]
    columns = list(dict.fromkeys(column for row in rows for column in row))
    # Metrics are last and ordered by name; other columns keep the order of `_row`.
    columns.sort(key=lambda column: (True, column) if _is_metric(column) else (False, ""))
    file = io.StringIO()
    writer = csv.DictWriter(file, columns, restval="", lineterminator="\n")
    writer.writerow({column: spreadsheet_cell(column) for column in columns})
    writer.writerows({column: spreadsheet_cell(value) for column, value in row.items()} for row in rows)
    return file.getvalue()


def results_parquet(table: str) -> bytes:
    """Return results.csv as Parquet: numbers in 64 bits, and texts. It needs the package pyarrow.

    A setting is a number if each of its values is one: `hidden_size`, `axis.lr`.

    Args:
        table: the content of results.csv.
    """
    arrow, parquet = (import_module(name) for name in ("pyarrow", "pyarrow.parquet"))
    titles, *rows = csv.reader(io.StringIO(table))
    columns = {}
    for title, texts in zip(titles, zip(*rows, strict=True), strict=True):
        kind, convert = (arrow.float64(), float) if _is_number(title, texts) else (arrow.string(), str)
        columns[title] = arrow.array([convert(text) if text else None for text in texts], kind)
    file = io.BytesIO()
    parquet.write_table(arrow.table(columns), file)
    return file.getvalue()


def _is_number(column: str, texts: Sequence[str]) -> bool:
    if column in VERBATIM or column.startswith(AXIS):
        return all(NUMBER.fullmatch(text) for text in texts if text)
    return column in NUMBERS or _is_metric(column)


def _is_metric(column: str) -> bool:
    return column.startswith("test/") or (column.endswith((OF_BEST, OF_AVERAGE)) and not column.startswith(AXIS))


def _row(run: Run, group: str, setting: str, counts: bool) -> dict[str, object]:
    metrics: Mapping[str, object] = run.result.get("metrics", {})
    return {
        "path": str(run.path),
        "status": run.status,
        "reason": run.reason,
        "group": group,
        "setting": setting,
        "seed": run.seed if run.config is not None else "",
        "counts": int(counts),
        "config_hash": run.config_hash,
        "code": run.code,
        **run.facts,
        **{name: run.text(name) for name in FROM_RESULT},
        **{name: text for name in FROM_INFERENCE if (text := run.text(name))},
        **{name: value for name, value in metrics.items() if _is_metric(name)},
    }
