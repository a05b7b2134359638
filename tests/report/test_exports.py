"""The table of exports: files beside their runs, of one machine."""

from collections.abc import Callable, Sequence
from typing import Any

from rnnexp.report.exports import exports_table
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.runs import Run

Made = Callable[..., Run]
Grouped = Callable[[Sequence[Run]], ComparisonGroup]
CONDITIONS = {"processor": "p", "num_cores": 2, "device": "p", "num_threads": 1, "torch": "2.11.0"}


def record(host: str = "here", **exports: tuple[float, float]) -> dict[str, Any]:
    """Return the record of a run and of its exports, (accuracy, latency) each."""
    return {
        "latency": {"p50_ms": 1.0},
        "weight_bytes": 4e6,
        "conditions": {"host": host, **CONDITIONS},
        "exports": {
            name: {
                "metrics": {"test/acc": acc},
                "latency": {"p50_ms": latency},
                "weight_bytes": 1e6,
                "largest_difference": 0.5,
            }
            for name, (acc, latency) in exports.items()
        },
    }


def test_exports_have_rows_below_their_runs(made: Made, group_of: Grouped) -> None:
    runs = [
        made("lstm", 1, acc=0.9, result={"inference": record(onnx=(0.9, 0.5), onnx_int8=(0.89, 0.25))}),
        made("lstm", 2, acc=0.7, result={"inference": record(onnx=(0.7, 1.5))}),
        made("lstm", 3, acc=0.5, result={"inference": record()}),
        made("gru", 1, acc=0.6),
        made("srn", 1, acc=0.6, result={"inference": record("there", onnx=(0.6, 0.1))}),
    ]
    table = exports_table(group_of(runs))
    assert table is not None
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [(row["cell"], row["computed by"], row["n"]) for row in rows] == [
        ("lstm", "the run", "2"),
        ("lstm", "onnx", "2"),
        ("lstm", "onnx_int8", "1"),
    ], "the seeds that have exports, on the machine of most runs"
    assert [row["test accuracy, %"] for row in rows] == ["80.00", "80.00", "89.00"]
    assert [row["latency p50, ms"] for row in rows] == ["1.000", "1.000", "0.250"]
    assert [row["weights, MB"] for row in rows] == ["4.000", "1.000", "1.000"]
    assert [row["largest difference"] for row in rows] == ["–", "0.500000", "0.500000"]


def test_a_score_with_other_data_has_a_row_of_its_own(made: Made, group_of: Grouped) -> None:
    inferences = [record(onnx=(acc, 0.5)) for acc in (0.9, 1.0)]
    inferences[1]["exports"]["onnx"]["changed"] = {"data.test": "one.npz"}
    runs = [made("lstm", seed, acc=0.9, result={"inference": each}) for seed, each in enumerate(inferences)]
    table = exports_table(group_of(runs))
    assert table is not None
    rows = [dict(zip(table.columns, row, strict=True)) for row in table.rows]
    assert [(row["computed by"], row["test accuracy, %"]) for row in rows] == [
        ("the run", "90.00"),
        ("onnx", "90.00"),
        ("onnx, scored with other data.test", "100.00"),
    ]


def test_runs_without_exports_have_no_table(made: Made, group_of: Grouped) -> None:
    assert exports_table(group_of([made("gru"), made("srn", result={"inference": record()})])) is None
