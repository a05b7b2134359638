"""Recurrent networks: a cell is one step, a scan runs it over time, a stack puts scans into layers and directions.

The package depends only on torch, not on Lightning or a configuration.
"""

from rnnexp.recurrent.cells import CELLS, Cell, Parameter, Recurrence, State
from rnnexp.recurrent.stack import RecurrentStack

__all__ = ["CELLS", "Cell", "Parameter", "Recurrence", "RecurrentStack", "State"]
