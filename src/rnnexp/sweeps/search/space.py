"""The search space: distributions of Optuna from overrides in Hydra's grammar."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from hydra.core.override_parser.types import IntervalSweep, Override, RangeSweep, Sweep, ValueType
from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

from rnnexp.core.errors import UserError


def split(overrides: Sequence[Override]) -> tuple[dict[str, Override], list[str]]:
    """Return the axes of the space by key, and the overrides that are the same for every trial.

    If two overrides have the same key, the last one applies.

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


def distributions(axes: Mapping[str, Override]) -> dict[str, BaseDistribution]:
    """Return the distribution of each axis.

    Args:
        axes: sweeps by `a,b` or `choice`, `range`, `interval` or `int(interval)`, also within `tag(log, ...)`.

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


def corners(space: Mapping[str, BaseDistribution]) -> list[dict[str, Any]]:
    """Return the smallest list of points with every choice of every axis, and both ends of a numeric one."""

    def examples(axis: BaseDistribution) -> Sequence[Any]:
        if isinstance(axis, CategoricalDistribution):
            return axis.choices
        assert isinstance(axis, FloatDistribution | IntDistribution)
        return tuple(dict.fromkeys((axis.low, axis.high)))

    values = {key: examples(axis) for key, axis in space.items()}
    longest = max(map(len, values.values()))
    return [{key: options[index % len(options)] for key, options in values.items()} for index in range(longest)]


def num_points(space: Mapping[str, BaseDistribution]) -> int:
    """Return the number of points of a space as a grid.

    Raises:
        UserError: if an axis has no step.
    """

    def size(key: str, axis: BaseDistribution) -> int:
        if isinstance(axis, CategoricalDistribution):
            return len(axis.choices)
        assert isinstance(axis, FloatDistribution | IntDistribution)
        if axis.step is None:
            raise UserError(f"hydra/sweeper/sampler=grid: {key} is continuous: give it a range()")
        return round((axis.high - axis.low) / axis.step) + 1

    return math.prod(size(key, axis) for key, axis in space.items())


def _distribution(override: Override) -> BaseDistribution:
    sweep = override.value()
    if not isinstance(sweep, Sweep) or override.value_type == ValueType.GLOB_CHOICE_SWEEP:
        raise ValueError("a search supports choice(), range() and interval(), but not glob(): list the values")
    if unknown := sweep.tags - {"log"}:
        raise ValueError(f"a search supports only the tag log, not {', '.join(sorted(unknown))}")
    log = "log" in sweep.tags
    if isinstance(sweep, IntervalSweep):
        return _interval(sweep, log)
    if isinstance(sweep, RangeSweep):
        return _range(sweep, log)
    if log:
        raise ValueError("the tag log is for ranges and intervals")
    # The strings are quoted as Hydra's own sweeper quotes them, so that lists, spaces and null keep their meaning.
    return CategoricalDistribution(list(override.sweep_string_iterator()))


def _interval(sweep: IntervalSweep, log: bool) -> BaseDistribution:
    assert sweep.start is not None
    assert sweep.end is not None
    if isinstance(sweep.start, int) and isinstance(sweep.end, int):
        return IntDistribution(sweep.start, sweep.end, log=log)
    return FloatDistribution(sweep.start, sweep.end, log=log)


def _range(sweep: RangeSweep, log: bool) -> BaseDistribution:
    values = sorted(sweep.range())
    if not values:
        raise ValueError("the range is empty")
    low, high, step = values[0], values[-1], abs(sweep.step)
    if isinstance(low, int) and isinstance(high, int) and isinstance(step, int):
        return IntDistribution(low, high, log=log, step=step)
    return FloatDistribution(_rounded(low), _rounded(high), log=log, step=_rounded(step))


def _rounded(value: float) -> float:
    # Three steps of 0.1 are 0.30000000000000004, which is not a multiple of 0.1 for Optuna.
    return float(f"{value:.12g}")
