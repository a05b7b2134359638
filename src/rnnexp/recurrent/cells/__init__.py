"""The cells: each is one step, written as its equations in the letters of its paper, and one row of `CELLS`."""

from rnnexp.recurrent.cells.cell import (
    SATURATED,
    WEIGHTS,
    Cell,
    CellFactory,
    CellFunction,
    Kernel,
    Parameter,
    Recurrence,
    State,
)
from rnnexp.recurrent.cells.table import CELLS, CellLike, NamedCell, make_cell, variants

__all__ = [
    "CELLS",
    "SATURATED",
    "WEIGHTS",
    "Cell",
    "CellFactory",
    "CellFunction",
    "CellLike",
    "Kernel",
    "NamedCell",
    "Parameter",
    "Recurrence",
    "State",
    "make_cell",
    "variants",
]
