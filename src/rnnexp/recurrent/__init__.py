"""Recurrent networks: a cell is one step, a scan runs it over time, a stack puts scans into layers and directions.

Needs torch alone: neither Lightning nor a configuration.
"""

from rnnexp.recurrent.cells import CELLS, Cell, Parameter, Recurrence, State
from rnnexp.recurrent.stack import RecurrentStack

__all__ = ["CELLS", "Cell", "Parameter", "Recurrence", "RecurrentStack", "State"]
