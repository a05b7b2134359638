"""The reader of gradient_flow.csv, which `rnnexp.callbacks.gradient_flow` writes."""

import csv
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnnexp.core.errors import UserError

MOST_MISSING = 10
"""The maximum ratio of the size of the table to the values in the file, whose last epoch may be incomplete."""


def read_gradient_norms(gradient_flow_file: Path) -> tuple[list[int], NDArray[np.float64]]:
    """Return the epochs of gradient_flow.csv, and ||dL/dh_t|| as float64 [layers, epochs, time].

    Raises:
        FileNotFoundError: if it is missing.
        UserError: if it is damaged, or holds no norms.
    """
    norms: dict[tuple[int, int, int], float] = {}
    if gradient_flow_file.exists() and not gradient_flow_file.is_file():
        raise UserError(f"{gradient_flow_file} is not a file")
    try:
        with gradient_flow_file.open(newline="", encoding="utf-8") as file:
            for row in csv.DictReader(file):
                if row["quantity"] == "gradient_norm":
                    norms[int(row["layer"]), int(row["epoch"]), int(row["index"])] = float(row["value"])
        layers, epochs, steps = (sorted(set(axis)) for axis in zip(*norms, strict=True))
    except (csv.Error, KeyError, TypeError, ValueError) as error:
        raise UserError(f"{gradient_flow_file} cannot be read ({type(error).__name__}); was it cut short?") from None
    # A few lines with large numbers would stand for a table that takes all memory.
    if len(layers) * len(epochs) * len(steps) > MOST_MISSING * len(norms):
        raise UserError(f"{gradient_flow_file} holds norms of unrelated steps: it is damaged")
    table = np.full((len(layers), len(epochs), len(steps)), np.nan)
    places = [{value: place for place, value in enumerate(axis)} for axis in (layers, epochs, steps)]
    for key, norm in norms.items():
        table[tuple(axis[value] for axis, value in zip(places, key, strict=True))] = norm
    return epochs, table
