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
    by_name: dict[str, list[Run]] = {}
    for run in setting.counted.values():
        for place, (name, record) in enumerate(run.result.get("inference", {}).get("exports", {}).items()):
            if place == 0:
                by_name.setdefault("the run", []).append(run)
            by_name.setdefault(_name_with_data(name, record), []).append(_as_exported(run, record))
    yield from by_name.items()


def _name_with_data(name: str, record: Mapping[str, Any]) -> str:
    """Return the name of an export with the keys of data other than those of the run, with which it was scored."""
    changed = record.get("changed")
    return f"{name}, scored with other {', '.join(changed)}" if changed and isinstance(changed, Mapping) else name


def _as_exported(run: Run, record: Mapping[str, Any]) -> Run:
    """Return a run with the metrics and the costs of inference of an export."""
    return replace(run, result={**run.result, "metrics": record["metrics"], "inference": record})


def _score(measure: Measure, runs: Sequence[Run]) -> str:
    values = [value for run in runs if (value := run.metric(measure.name)) is not None]
    return measure.show(measure.scale * mean(values)) if values else NOTHING


def _shown(cost: Cost, runs: Sequence[Run]) -> str:
    value = cost.mean(runs)
    return NOTHING if value is None else cost.show(value)
