"""The table of exported runs: the score and the cost of inference of the files, beside those of their runs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from statistics import mean
from typing import Any

from rnnexp.report.records.costs import INFERENCE, Cost
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.records.runs import Run
from rnnexp.report.render.document import Table
from rnnexp.report.tables import NOTHING, axis_cells, axis_columns
from rnnexp.tasks.registry import Measure

LATENCIES = tuple(f"{name}_{percentile}_ms" for name in ("latency", "step_latency") for percentile in ("p50", "p99"))
COSTS = [INFERENCE[name] for name in (*LATENCIES, "throughput_16", "throughput_128", "words_per_second", "weight_mb")]
DIFFERENCE = Cost("inference.largest_difference", "largest difference", digits=6)
"""between the outputs of a file and of its run"""


def exports_table(group: ComparisonGroup) -> Table | None:
    """Return a row for each setting with measured exports, and for each of these; None if there is none."""
    measure = group.kind.main
    found = [(setting, name, runs) for setting in group.measured for name, runs in _computed_by(setting)]
    if not found:
        return None
    costs = [cost for cost in (*COSTS, DIFFERENCE) if any(cost.mean(runs) is not None for _, _, runs in found)]
    rows = [
        [*axis_cells(setting), name, _score(measure, runs), str(len(runs)), *(_shown(cost, runs) for cost in costs)]
        for setting, name, runs in found
    ]
    numbers = [f"test {measure.title}", "n", *(cost.label for cost in costs)]
    return Table([*axis_columns(group), "computed by", *numbers], rows, frozenset(numbers))


def _computed_by(setting: Setting) -> Iterator[tuple[str, list[Run]]]:
    """Yield the runs of a setting that have exports, and by the name of each export the runs as it computes them."""
    exports = {id(run): _exports_of(run) for run in setting.counted.values()}
    runs = [run for run in setting.counted.values() if exports[id(run)]]
    if runs:
        yield "the run", runs
    for name in dict.fromkeys(name for run in runs for name in exports[id(run)]):
        yield name, [_as_exported(run, exports[id(run)][name]) for run in runs if name in exports[id(run)]]


def _exports_of(run: Run) -> dict[str, Mapping[str, Any]]:
    """Return the records of the exports of a run by name; the name of one that was scored with other data says so."""
    found = {}
    for name, record in run.result.get("inference", {}).get("exports", {}).items():
        changed = record.get("changed")
        with_data = f", scored with other {', '.join(changed)}" if changed and isinstance(changed, Mapping) else ""
        found[name + with_data] = record
    return found


def _as_exported(run: Run, record: Mapping[str, Any]) -> Run:
    """Return a run with the metrics and the costs of inference of an export."""
    return replace(run, result={**run.result, "metrics": record["metrics"], "inference": record})


def _score(measure: Measure, runs: Sequence[Run]) -> str:
    values = [value for run in runs if (value := run.metric(measure.name)) is not None]
    return measure.show(measure.scale * mean(values)) if values else NOTHING


def _shown(cost: Cost, runs: Sequence[Run]) -> str:
    value = cost.mean(runs)
    return NOTHING if value is None else cost.show(value)
