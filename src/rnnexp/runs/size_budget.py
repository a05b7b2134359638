"""Budgets of parameters or operations: the hidden size at which a network comes nearest to one.

Equal hidden size is not equal size: an LSTM has four blocks where a GRU has three and an SRN one, and both directions
double them.
"""

import logging
import re
from bisect import bisect_left
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, NamedTuple

from rnnexp.core.errors import UserError
from rnnexp.core.validation import validate_choice
from rnnexp.tasks.base import Task

TOLERANCE = 0.02
"""The share of a budget by which a network may miss it without a warning."""
SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
LARGEST = 16_384
"""The largest hidden size that is tried."""

log = logging.getLogger(__name__)


class SizeBudget(NamedTuple):
    """A budget and the network that comes nearest to it."""

    quantity: str
    """`params` or `flops`"""
    budget: int
    result: int
    """The quantity of the network."""
    hidden_size: int


def parse_budget(text: str) -> tuple[str, int]:
    """Return the quantity and the number of a budget: `params:250k` -> ("params", 250000).

    Raises:
        UserError: for text that is not `params:` or `flops:` and a number, followed by k, M, G or nothing.
    """
    match = re.fullmatch(r"(\w+):(\d+(?:\.\d+)?)([kKmMgG]?)", text)
    if match is None:
        raise UserError(
            f"size_budget must be params:<number> or flops:<number>, as in size_budget=params:250k, not {text!r}"
        )
    try:
        validate_choice("budget", match[1], QUANTITIES)
    except ValueError as error:
        raise UserError(f"size_budget: {error}") from None
    return match[1], round(float(match[2]) * SUFFIXES[match[3].lower()])


def solve_size_budget(text: str, make_task: Callable[[int], Task], data_info: Mapping[str, Any]) -> SizeBudget:
    """Find the hidden size at which a network comes nearest to a budget.

    It logs a warning if the nearest network misses the budget by more than 2 %.

    Args:
        text: the budget, see `parse_budget`.
        make_task: hidden_size -> task.
        data_info: the description of the data; operations are counted over its `seq_len`.

    Raises:
        UserError: for a budget that cannot be read, and for operations of sequences that differ in length.
    """
    quantity, budget = parse_budget(text)

    @cache
    def cost(hidden_size: int) -> int:
        return QUANTITIES[quantity](make_task(hidden_size), data_info)

    # Doubled from below, because large networks take long to make.
    upper = 1
    while cost(upper) < budget and upper < LARGEST:
        upper *= 2
    above = min(1 + bisect_left(range(1, upper + 1), budget, key=cost), upper)
    hidden_size = min(range(max(1, above - 1), above + 1), key=lambda size: abs(cost(size) - budget))
    result = cost(hidden_size)
    if abs(result - budget) > TOLERANCE * budget:
        log.warning(
            "size_budget=%s: no hidden size comes within %.0f %%; the nearest is %d, with %s %s",
            *(text, 100 * TOLERANCE, hidden_size, f"{result:,}", quantity),
        )
    return SizeBudget(quantity, budget, result, hidden_size)


def flops_of_sequence(task: Task, data_info: Mapping[str, Any]) -> int:
    """Return the floating-point operations of the forward pass on one sequence, two per multiply-add.

    Only matrix products are counted.

    Raises:
        UserError: for data whose sequences differ in length.
    """
    if "seq_len" not in data_info:
        raise UserError("size_budget=flops: counts one sequence, but these sequences differ in length: use params:")
    return 2 * (int(data_info["seq_len"]) * task.stack.multiply_adds_per_step + task.multiply_adds_outside_stack)


QUANTITIES: dict[str, Callable[[Task, Mapping[str, Any]], int]] = {
    "params": lambda task, _: task.num_parameters,
    "flops": flops_of_sequence,
}
