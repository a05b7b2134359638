"""Budgets instead of widths: the hidden size at which a network has as many parameters, or costs as much, as others.

Equal hidden size is not equal size: an LSTM has four blocks where a GRU has three and an SRN one, and both directions
double them.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from omegaconf import DictConfig, OmegaConf
from torch import nn

from rnnexp.core.errors import UserError
from rnnexp.core.validation import validate_choice
from rnnexp.tasks.base import Task

TOLERANCE = 0.02
SUFFIXES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}
LARGEST = 16_384


class SizeBudget(NamedTuple):
    """What was asked for, and what it came to."""

    quantity: str
    budget: int
    result: int
    hidden_size: int


def parse_budget(text: str) -> tuple[str, int]:
    """`params:250k` -> ("params", 250000).

    Raises:
        UserError: for anything else than params or flops, a colon and a number with k, M, G or nothing behind it.
    """
    found = re.fullmatch(r"(\w+):(\d+(?:\.\d+)?)([kKmMgG]?)", str(text))
    if found is None:
        raise UserError(
            f"size_budget must be params:<number> or flops:<number>, as in size_budget=params:250k, not {text!r}"
        )
    try:
        validate_choice("budget", found[1], MEASURES)
    except ValueError as error:
        raise UserError(f"size_budget: {error}") from None
    return found[1], round(float(found[2]) * SUFFIXES[found[3].lower()])


def solve_size_budget(
    config: DictConfig, description: Mapping[str, Any], make_task: Callable[[DictConfig], Task]
) -> SizeBudget | None:
    """Solves `model.hidden_size` for the budget that `config.size_budget` names, and sets it; None if it names none.

    Args:
        description: of the data.
        make_task: the task of a config.

    Raises:
        UserError: if no hidden size comes within 2 %, with the nearest.
    """
    if config.get("size_budget") is None:
        return None
    quantity, budget = parse_budget(config.size_budget)

    def cost(hidden_size: int) -> int:
        sized = OmegaConf.merge(config, {"model": {"hidden_size": hidden_size}})
        assert isinstance(sized, DictConfig)
        return MEASURES[quantity](make_task(sized), description)

    hidden_size = _nearest(cost, budget)
    result = cost(hidden_size)
    if abs(result - budget) > TOLERANCE * budget:
        raise UserError(
            f"size_budget={config.size_budget}: no hidden size of {config.model.cell} comes within {TOLERANCE:.0%}; "
            f"the nearest is {hidden_size}, with {result:,} {quantity}"
        )
    config.model.hidden_size = hidden_size
    return SizeBudget(quantity, budget, result, hidden_size)


def _nearest(cost: Callable[[int], int], budget: int) -> int:
    """The hidden size whose cost, which grows with it, is nearest to the budget."""
    above = 1
    while cost(above) < budget:
        if above >= LARGEST:
            return above
        above *= 2
    below = above // 2
    while above - below > 1:
        middle = (above + below) // 2
        below, above = (middle, above) if cost(middle) < budget else (below, middle)
    return min((size for size in (below, above) if size), key=lambda size: abs(cost(size) - budget))


def flops_of_sequence(task: Task, description: Mapping[str, Any]) -> int:
    """Floating-point operations of the forward pass on one sequence: two per multiply-add, all else left out.

    Raises:
        UserError: for a task whose sequences differ in length.
    """
    if "seq_len" not in description:
        raise UserError("size_budget=flops: counts sequences of one length, which these data do not have: use params:")
    head = sum(module.weight.numel() for module in task.modules() if isinstance(module, nn.Linear))
    return 2 * (int(description["seq_len"]) * task.stack.multiply_adds_per_step + head)


MEASURES: dict[str, Callable[[Task, Mapping[str, Any]], int]] = {
    "params": lambda task, _: task.num_parameters,
    "flops": flops_of_sequence,
}
