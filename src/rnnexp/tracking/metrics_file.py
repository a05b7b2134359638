"""metrics.csv, as it stands while a run writes it."""

import csv
from pathlib import Path


def newest_metric(path: Path) -> tuple[str, float] | None:
    """The latest validation metric that stands there, accuracy or BLEU before a loss; None if there is none yet."""
    try:
        with path.open(newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, csv.Error):
        return None
    for row in reversed(rows):
        measured = {name: value for name, value in row.items() if name and value and name.startswith("val/")}
        for name in ("val/acc", "val/bleu", "val/loss"):
            if name in measured:
                try:
                    return name, float(measured[name])
                except ValueError:
                    return None
    return None
