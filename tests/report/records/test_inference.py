"""Measurements of inference are shown for one machine, and a damaged record is left out."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import read_json, write_json
from rnnexp.report.__main__ import report
from rnnexp.report.figures.tradeoffs import INFERENCE_COSTS, tradeoffs
from rnnexp.report.records.costs import INFERENCE
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.inference import facts
from rnnexp.report.records.runs import Run, read_run
from rnnexp.report.tables import inference_table
from rnnexp.tasks.inference_record import INFERENCE_VERSION, read_inference

Made = Callable[..., Run]
Grouped = Callable[[Sequence[Run]], ComparisonGroup]


def record(p99_ms: float = 1.0, host: str = "here", **changes: Any) -> dict[str, Any]:
    """Return a record with the numbers that most networks have."""
    conditions = {"host": host, "processor": "p", "num_cores": 2, "device": "p", "num_threads": 1, "torch": "2.11.0"}
    return {
        "schema_version": INFERENCE_VERSION,
        "latency": {"p50_ms": p99_ms / 2, "p95_ms": p99_ms, "p99_ms": p99_ms},
        "step_latency": None,
        "weight_bytes": 1e6 * p99_ms,
        "conditions": conditions,
        "machine_use": {"is_idle": True},
        "backend": {"latency": "fused"},
        "precision": {"effective": "32-true"},
        **changes,
    }


def test_machines_are_not_mixed(made: Made, group_of: Grouped) -> None:
    runs = [made("gru", seed, acc=0.9, result={"inference": record(1.0)}) for seed in (1, 2)]
    runs.append(made("gru", 3, acc=0.9, result={"inference": record(100.0, host="there")}))
    runs.append(made("srn", 1, acc=0.8, result={"inference": record(0.5)}))
    group = group_of(runs)
    gru = group.measured[0]
    assert gru.mean_cost(INFERENCE["latency_p99_ms"]) == 1.0
    lines = list(facts(group.counted))
    assert lines[0].startswith("Inference was measured on here (p, 2 cores), 1 thread")
    assert "there (p, 2 cores)" in lines[-1]
    table = inference_table(group)
    assert table is not None
    assert [row[0] for row in table.rows] == ["gru", "srn"]
    assert "latency p99, ms" in table.columns
    assert "latency of a step p99, ms" not in table.columns
    figure = tradeoffs(group, INFERENCE_COSTS)
    assert figure is not None
    assert [axes.get_xlabel() for axes in figure.axes] == ["latency p99, ms", "weights, MB"]


def test_a_busy_machine_is_named(made: Made, group_of: Grouped) -> None:
    busy = record(machine_use={"is_idle": False})
    lines = list(facts(group_of([made("gru", result={"inference": busy})]).counted))
    assert any("not idle" in line for line in lines)


def test_a_group_without_measurements_has_no_table(made: Made, group_of: Grouped) -> None:
    group = group_of([made("gru"), made("srn")])
    assert inference_table(group) is None
    assert tradeoffs(group, INFERENCE_COSTS) is None
    assert list(facts(group.counted)) == []


def test_the_report_shows_what_is_in_the_files(sweep: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for path in sorted((sweep / "jobs").iterdir()):
        config_hash = read_json(path / "result.json")["config_hash"]
        write_json(path / "inference.json", record(2.0 if "gru" in path.name else 0.5, config_hash=config_hash))
    assert report([str(sweep), "--budget", "latency_p99_ms<1"]) == 0
    assert "within latency_p99_ms<1 the best is srn" in capsys.readouterr().out
    markdown = (sweep / "report" / "report.md").read_text(encoding="utf-8")
    for text in ("## Within the budget", "### Inference", "| 2.000 |", "figures/inference.png"):
        assert text in markdown
    head, *rows = (sweep / "report" / "results.csv").read_text(encoding="utf-8").splitlines()
    assert "inference.latency.p99_ms" in head.split(",")
    assert len(rows) == 4


@pytest.mark.parametrize(
    ("changes", "part"),
    [
        ({"schema_version": 99}, "another version"),
        ({"config_hash": "other"}, "another config"),
        ({"latency": {"p99_ms": "fast"}}, "latency.p99_ms must be a number"),
        ({"weight_bytes": -1}, "weight_bytes must be a number"),
        ({"conditions": {"host": "here"}}, "conditions.processor is missing"),
        ({"conditions": [1]}, "conditions.host is missing"),
        ({"exports": ["onnx"]}, "exports must be an object"),
        ({"exports": {"onnx": {}}}, "exports.onnx.metrics must be numbers"),
        ({"exports": {"onnx": {"metrics": {"test/acc": "x"}}}}, "exports.onnx.metrics must be numbers"),
        ({"exports": {"onnx": {"metrics": {"test/acc": 1e300}}}}, "exports.onnx.metrics must be numbers"),
        ({"exports": {"onnx": {"metrics": {}, "weight_bytes": "x"}}}, "exports.onnx.weight_bytes must be a number"),
    ],
)
def test_a_record_that_cannot_be_read(tmp_path: Path, changes: dict[str, Any], part: str) -> None:
    file = tmp_path / "inference.json"
    assert read_inference(file, "own") == {}
    write_json(file, record(config_hash="own") | changes)
    with pytest.raises(UserError, match=part):
        read_inference(file, "own")


def test_a_damaged_record_does_not_end_the_report(sweep: Path) -> None:
    job = sweep / "jobs" / "gru_1"
    (job / "inference.json").write_text('{"schema_version": 1', encoding="utf-8")
    run = read_run(job)
    assert run.status == "done"
    assert run.result["inference"] == {}
    assert any("inference.json" in reason for reason in run.damage)
