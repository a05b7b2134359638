"""The shipped cells, for tests that find their cases by looking."""

from pathlib import Path
from typing import Any

from rnnexp.recurrent import CELLS
from rnnexp.recurrent.cells import make_cell, variants

MODELS = ", ".join(
    sorted({path.stem for path in (Path(__file__).parents[2] / "conf" / "model").glob("*.yaml")} - {"base"})
)
"""The options of the group `model`, as messages list them."""
STATES = ("srn", "lstm", "gru", "slstm")
"""Cells for tests of networks around a stack, to which a cell is the number of its state tensors: 1, 2, 1, 4."""


def every_cell() -> list[dict[str, Any]]:
    """Return name and options of every cell, in every variant."""
    return [{"cell": name, "cell_options": options} for name in CELLS for options in variants(name)]


FIELDS = {"fused": "fused", "batched": "batched", "parallel": "coefficients"}
"""Backend -> the field of a cell that has it."""


def has_backend(cell: str, backend: str, options: dict[str, Any] | None = None) -> bool:
    """Return whether a cell has a backend of `FIELDS`."""
    return getattr(make_cell(cell, options).cell, FIELDS[backend]) is not None


def cells_with(backend: str) -> list[dict[str, Any]]:
    """Return name, options and backend of every cell that has a backend."""
    return [
        case | {"backend": backend} for case in every_cell() if has_backend(case["cell"], backend, case["cell_options"])
    ]
