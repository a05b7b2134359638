"""The reader of gradient_flow.csv, which `rnnexp.callbacks.gradient_flow` writes."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray


def read_gradient_norms(gradient_flow_file: Path) -> tuple[list[int], NDArray[np.float64]]:
    """Return the epochs of gradient_flow.csv, and ||dL/dh_t|| as float64 [layers, epochs, time]."""
    norms: dict[tuple[int, int, int], float] = {}
    with gradient_flow_file.open(newline="", encoding="utf-8") as file:
        for row in csv.DictReader(file):
            if row["quantity"] == "gradient_norm":
                norms[int(row["layer"]), int(row["epoch"]), int(row["index"])] = float(row["value"])
    layers, epochs, steps = (sorted(set(axis)) for axis in zip(*norms, strict=True))
    table = [[[norms.get((layer, epoch, t), np.nan) for t in steps] for epoch in epochs] for layer in layers]
    return epochs, np.array(table)
