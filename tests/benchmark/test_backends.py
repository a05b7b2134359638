"""The table from which a stack chooses its backend."""

from typing import Any

import torch

from rnnexp.benchmark.backends import CASE, Shape, make_layers, merged
from rnnexp.core.files.atomic import read_json
from rnnexp.recurrent.backends import MEASURED


def case(row: dict[str, Any]) -> tuple[Any, ...]:
    return tuple(row[key] for key in CASE)


def test_a_row_has_the_backends_that_run_on_its_device() -> None:
    shape = Shape("small", batch=2, time=20, features=3, shortest=20, needs_input_gradient=False)
    assert set(make_layers("gru", {}, shape, 4, torch.device("cpu"))) == {"fused", "batched", "reference"}
    rows = read_json(MEASURED)["rows"]
    assert not [row for row in rows if row["device"] == "cpu" and "graph" in row["milliseconds"]]


def test_a_part_that_is_measured_again_replaces_only_its_rows() -> None:
    rows = read_json(MEASURED)["rows"]
    assert len(rows) > 10
    again = [{**row, "milliseconds": {}} for row in rows if row["hidden_size"] == rows[0]["hidden_size"]]
    other = {**rows[0], "hidden_size": 7}
    table = merged(rows, [*again, other])
    assert [case(row) for row in table] == [*map(case, rows), case(other)]
    assert [row for row in table if not row["milliseconds"]] == again
