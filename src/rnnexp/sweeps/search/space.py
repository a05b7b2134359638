"""From Hydra's override grammar to the distributions of a search space."""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Sweep, ValueType

from rnnexp.core.errors import UserError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution


def split(overrides: Sequence[Override]) -> tuple[dict[str, Override], list[str]]:
    """The axes of the space by key, and the overrides that are the same for every trial.

    Of two with one key the last counts.

    Raises:
        UserError: if there is no axis.
    """
    by_key = {override.get_key_element(): override for override in overrides}
    axes = {key: override for key, override in by_key.items() if override.is_sweep_override()}
    if not axes:
        raise UserError(
            'the search space is empty: give a key some values, "optimizer.lr=tag(log,interval(1e-4,1e-1))"'
        )
    return axes, [str(override.input_line) for key, override in by_key.items() if key not in axes]


def distributions(axes: Mapping[str, Override]) -> dict[str, "BaseDistribution"]:
    """What each axis may be: `a,b` and `choice`, `range`, `interval` and `int(interval)`, `tag(log, ...)`.

    Raises:
        UserError: for any other sweep.
    """
    found = {}
    for key, override in axes.items():
        try:
            found[key] = _distribution(override)
        except ValueError as error:
            raise UserError(f"{override.input_line}: {error}") from None
    return found


def corners(space: Mapping[str, "BaseDistribution"]) -> list[dict[str, Any]]:
    """The fewest points in which every choice of every axis occurs, each beside the lowest of the numbers."""
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    def examples(axis: "BaseDistribution") -> Sequence[Any]:
        if isinstance(axis, CategoricalDistribution):
            return axis.choices
        assert isinstance(axis, FloatDistribution | IntDistribution)
        return (axis.low,)

    values = {key: examples(axis) for key, axis in space.items()}
    longest = max(map(len, values.values()))
    return [{key: some[index % len(some)] for key, some in values.items()} for index in range(longest)]


def num_points(space: Mapping[str, "BaseDistribution"]) -> int:
    """How large a grid of all of them is.

    Raises:
        UserError: if an axis has no step.
    """
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    def size(key: str, axis: "BaseDistribution") -> int:
        if isinstance(axis, CategoricalDistribution):
            return len(axis.choices)
        assert isinstance(axis, FloatDistribution | IntDistribution)
        if axis.step is None:
            raise UserError(f"hydra/sweeper/sampler=grid: {key} may be any number between two: give it a range()")
        return round((axis.high - axis.low) / axis.step) + 1

    return math.prod(size(key, axis) for key, axis in space.items())


def _distribution(override: Override) -> "BaseDistribution":
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    sweep = override.value()
    if not isinstance(sweep, Sweep) or override.value_type == ValueType.GLOB_CHOICE_SWEEP:
        raise ValueError("a search takes choice(), range() and interval(), and no glob: list the values")
    if unknown := sweep.tags - {"log"}:
        raise ValueError(f"a search knows the tag log alone, not {', '.join(sorted(unknown))}")
    log = "log" in sweep.tags
    if isinstance(sweep, IntervalSweep):
        assert sweep.start is not None
        assert sweep.end is not None
        if isinstance(sweep.start, int) and isinstance(sweep.end, int):
            return IntDistribution(sweep.start, sweep.end, log=log)
        return FloatDistribution(sweep.start, sweep.end, log=log)
    if isinstance(sweep, RangeSweep):
        values = sorted(sweep.range())
        if not values:
            raise ValueError("the range is empty")
        low, high, step = values[0], values[-1], abs(sweep.step)
        if isinstance(low, int) and isinstance(high, int) and isinstance(step, int):
            return IntDistribution(low, high, log=log, step=step)
        return FloatDistribution(_rounded(low), _rounded(high), log=log, step=_rounded(step))
    if log:
        raise ValueError("the tag log is for ranges and intervals")
    # As Hydra's own sweeper writes them, so that lists, spaces and null arrive as they were meant.
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def _rounded(value: float) -> float:
    # Three steps of 0.1 are 0.30000000000000004, which Optuna would take for no multiple of 0.1.
    return float(f"{value:.12g}")
