"""Recurrent networks: a cell is one step, a scan runs it over time, a stack puts scans into layers and directions.

Needs torch alone; runs without Lightning and without a configuration.
"""

from rnnexp.recurrent.cells import CELLS, Cell, Recurrence, State
from rnnexp.recurrent.stack import RecurrentStack

__all__ = ["CELLS", "Cell", "Recurrence", "RecurrentStack", "State"]
