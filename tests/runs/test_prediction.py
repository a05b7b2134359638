"""The file of predictions."""

import csv
from pathlib import Path

from rnnexp.runs.prediction import write_csv


def test_names_of_classes_are_no_formulas_for_a_spreadsheet(tmp_path: Path) -> None:
    columns = {
        "id": ["a", "-1", '=HYPERLINK("x")'],
        "class": ["@SUM(A1)", "walking", "b\nc"],
        "=p": [0.1, 0.25, 1700000000.5],
    }
    write_csv(tmp_path / "predictions.csv", columns)
    with (tmp_path / "predictions.csv").open(encoding="utf-8", newline="") as file:
        assert list(csv.reader(file)) == [
            ["id", "class", "'=p"],
            ["a", "'@SUM(A1)", "0.1"],
            ["-1", "walking", "0.25"],
            ['\'=HYPERLINK("x")', "b c", "1700000000.5"],
        ]
