"""Files of sequences that are learned in a second: sine waves of three frequencies, 5 to 20 steps long."""

import csv
from pathlib import Path
from typing import Any

import numpy as np

from rnnexp.data.sequences.module import SequencesDataModule

NAMES = ("run", "sit", "walk")
OPTIONS: dict[str, Any] = {
    "name": "waves",
    "train": None,
    "val": None,
    "test": None,
    "val_size": 0.2,
    "test_size": 0.2,
    "split_seed": 0,
    "group": None,
    "id": "id",
    "time": "time",
    "features": None,
    "target": "target",
    "per_step": False,
    "normalize": "standard",
    "missing": "refuse",
    "batch_size": 8,
    "eval_batch_size": 16,
    "window": 2,
    "seed": 1,
    "predict": None,
}
"""The arguments of the data module, as in conf/data/sequences.yaml."""


def waves(number: int = 60, seed: int = 0) -> dict[str, Any]:
    """Return the arrays x [samples, 20, 2], y, lengths and person; NaN past the end of a sequence."""
    random = np.random.default_rng(seed)
    lengths = random.integers(5, 21, number)
    kinds = np.arange(number) % 3
    time = np.arange(20)
    level = np.sin(time * (1 + kinds[:, None]) / 2 + random.random((number, 1))) + random.normal(0, 0.1, (number, 20))
    x = np.stack([level, random.normal(100, 5, (number, 20))], axis=2)
    x[time >= lengths[:, None]] = np.nan
    return {"x": x, "y": np.array(NAMES)[kinds], "lengths": lengths, "person": np.arange(number) // 5}


def write_npz(path: Path, arrays: dict[str, Any]) -> Path:
    np.savez(path, **arrays)
    return path


def rows_of(arrays: dict[str, Any]) -> list[list[Any]]:
    """Return the arrays as rows of a table, with a header."""
    rows: list[list[Any]] = [["id", "time", "speed", "weight", "target", "person"]]
    for sample, (x, y, length, person) in enumerate(zip(*(arrays[name] for name in arrays), strict=True)):
        rows += [[f"s{sample}", time, *x[time].tolist(), y, person] for time in range(length)]
    return rows


def write_csv(path: Path, rows: list[list[Any]]) -> Path:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(rows)
    return path


def write_ts(path: Path, arrays: dict[str, Any]) -> Path:
    lines = ["#a comment", "@problemName waves", "@classLabel true run sit walk", "@data"]
    for x, y, length in zip(arrays["x"], arrays["y"], arrays["lengths"], strict=True):
        features = [",".join("?" if np.isnan(value) else repr(float(value)) for value in each) for each in x[:length].T]
        lines.append(":".join([*features, str(y)]))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def make_data(batch_type: type | None = None, **options: Any) -> SequencesDataModule:
    """Return a data module that has read its files."""
    data = SequencesDataModule(**OPTIONS | {key: str(v) if isinstance(v, Path) else v for key, v in options.items()})
    if batch_type is not None:
        data.choose_batch_type(batch_type)
    data.setup()
    return data
