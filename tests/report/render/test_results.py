"""results.parquet holds the rows of results.csv."""

import csv
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
from pyarrow import parquet

from rnnexp.report.__main__ import report
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.runs import Run
from rnnexp.report.render.results_csv import results_csv, results_parquet


def test_parquet_has_the_rows_of_the_csv_with_numbers(digits: Path, tmp_path: Path) -> None:
    assert report([str(digits), "--output", str(tmp_path)]) == 0
    with (tmp_path / "results.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    table = parquet.read_table(tmp_path / "results.parquet")
    read = table.to_pylist()
    assert len(read) == len(rows) > 1
    assert table.column_names == list(rows[0])
    for name in table.column_names:
        is_number = table.schema.field(name).type == pa.float64()
        texts = [row[name] for row in rows]
        values = [row[name] for row in read]
        assert [value is None for value in values] == [text == "" for text in texts]
        assert values == [None if text == "" else float(text) if is_number else text for text in texts]
    for name in ("test/acc", "timing.fit_seconds", "num_parameters", "counts", "hidden_size", "lr"):
        assert table.schema.field(name).type == pa.float64()


def test_settings_are_not_rounded(made: Callable[..., Run], group_of: Callable[[list[Run]], ComparisonGroup]) -> None:
    drawn = [0.0123456789012345, 0.0234567890123456]
    group = group_of([made(optimizer__weight_decay=value) for value in drawn])
    rows = csv.DictReader(results_csv([group], []).splitlines())
    assert sorted(float(row["axis.weight_decay"]) for row in rows) == drawn


def test_parquet_takes_texts_of_any_kind_and_numbers_that_are_not_finite() -> None:
    table = 'path,test/loss\n"=1, ""a""\nb",nan\n漢,inf\n,-inf\nx,\n'
    read = parquet.read_table(pa.BufferReader(results_parquet(table))).to_pylist()
    assert [row["path"] for row in read] == ['=1, "a"\nb', "漢", None, "x"]
    assert [str(row["test/loss"]) for row in read] == ["nan", "inf", "-inf", "None"]


def test_a_column_of_parquet_has_numbers_if_it_is_a_metric_or_all_of_a_setting_is() -> None:
    table = "hidden_size,axis.lr,axis.keep_best,train/loss_best,own_best,seed\n8,+1,a,0.5,1e-3,1\n16,a,b,,2,2\n"
    read = parquet.read_table(pa.BufferReader(results_parquet(table))).to_pylist()
    assert read[0] == {
        "hidden_size": 8.0,
        "axis.lr": "+1",
        "axis.keep_best": "a",
        "train/loss_best": 0.5,
        "own_best": 0.001,
        "seed": "1",
    }
