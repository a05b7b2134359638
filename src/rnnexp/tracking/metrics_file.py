"""metrics.csv, as it stands while a run writes it."""

import csv
from pathlib import Path
from typing import NamedTuple


class Logged(NamedTuple):
    """One value of a metric; epochs count from 1."""

    epoch: int
    step: int
    value: float


def logged_values(path: Path, name: str) -> list[Logged]:
    """Every value of a metric, in the order of the file; none without the file, or the metric in it.

    A line that a run is just writing is passed over.
    """
    found = []
    try:
        with path.open(newline="") as file:
            for row in csv.DictReader(file):
                if row.get(name):
                    try:
                        found.append(Logged(int(row["epoch"]) + 1, int(row["step"]), float(row[name])))
                    except (KeyError, TypeError, ValueError):
                        continue
    except (OSError, csv.Error, UnicodeDecodeError):
        return []
    return found


def newest_metric(path: Path) -> tuple[str, float] | None:
    """The latest accuracy or BLEU of a validation, or else its loss; None if there is none yet."""
    for name in ("val/acc", "val/bleu", "val/loss"):
        if values := logged_values(path, name):
            return name, values[-1].value
    return None
