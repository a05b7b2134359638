"""The best setting within a budget: `--budget "latency_p99_ms<1, weight_mb<1"`."""

import re
import shlex
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

from rnnexp.core.errors import UserError
from rnnexp.core.validation import validate_choice
from rnnexp.report.records.axes import first_of
from rnnexp.report.records.costs import INFERENCE, QUANTITIES, Cost
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.stats.ranking import lead_of
from rnnexp.report.tables import score_text, unit_of_differences

MOST_NAMED = 3
"""Settings that a sentence names, and directories that a command names; more are counted."""


@dataclass(frozen=True)
class Limit:
    """A limit of a budget.

    Args:
        name: a name in `QUANTITIES`.
        value: the limit in shown units; a cost must be below it, and a speed above it.
    """

    name: str
    value: float

    @property
    def cost(self) -> Cost:
        """The limited quantity."""
        return QUANTITIES[self.name]

    def ratio(self, setting: Setting) -> float | None:
        """Return the setting's value relative to the limit, below 1 within it; None if it was not measured."""
        value = setting.mean_cost(self.cost)
        if value is None:
            return None
        if not self.cost.higher_is_better:
            return value / self.value
        return self.value / value if value > 0 else float("inf")

    def times(self, factor: float) -> "Limit":
        """Return the limit of a budget that is larger by a factor: of a speed less is asked."""
        return replace(self, value=self.value / factor if self.cost.higher_is_better else self.value * factor)

    def __str__(self) -> str:
        return f"{self.name}{'>' if self.cost.higher_is_better else '<'}{self.value:g}"


Budget = Sequence[Limit]


def parse_budget(text: str) -> Budget:
    """Return the limits of a text such as `latency_p99_ms<1, weight_mb<1`.

    Raises:
        UserError: for a text of another form, an unknown name, and a limit from the wrong side.
    """
    limits = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\w+)\s*([<>])\s*(\d+(?:\.\d*)?(?:e[+-]?\d+)?)\s*", part, re.ASCII)
        if match is None or float(match[3]) <= 0:
            raise UserError(f"--budget: {part.strip()!r} is no limit: write name<number, as in latency_p99_ms<1")
        name, sign, number = match.groups()
        try:
            validate_choice("quantity", name, QUANTITIES)
        except ValueError as error:
            raise UserError(f"--budget: {error}") from None
        right = ">" if QUANTITIES[name].higher_is_better else "<"
        if sign != right:
            raise UserError(f"--budget: {name} is limited from the other side: {name}{right}{number}")
        limits.append(Limit(name, float(number)))
    return limits


def budget_lines(group: ComparisonGroup, budget: Budget) -> Iterator[str]:
    """Yield the best within the budget, what it gives up, half and twice the budget, what was not measured."""
    measured = [setting for setting in group.measured if all(limit.ratio(setting) is not None for limit in budget)]
    shown = _text(budget)
    best = _best_within(measured, budget)
    if not group.measured:
        yield f"{group.title}: no run has a result yet."
        return
    if best is not None:
        yield f"{group.title}: within {shown} the best is {_described(group, best, budget)}."
        yield _given_up(group, best)
    elif measured:
        nearest = min(measured, key=lambda setting: max(limit.ratio(setting) or 0.0 for limit in budget))
        yield f"{group.title}: nothing is within {shown}; the nearest is {_described(group, nearest, budget)}."
    else:
        yield f"{group.title}: no setting has all numbers of {shown}."
    if measured:
        for words, factor in (("half", 0.5), ("twice", 2.0)):
            other = [limit.times(factor) for limit in budget]
            found = _best_within(measured, other)
            winner = "nothing is within it" if found is None else f"the best is {_described(group, found, budget)}"
            yield f"With {words} the budget, {_text(other)}, {'it is the same' if found and found is best else winner}."
    yield from _unmeasured(group, budget)


def _best_within(settings: Sequence[Setting], budget: Budget) -> Setting | None:
    """Return the first setting within all limits; settings are in the order of their scores."""
    return next((each for each in settings if all((limit.ratio(each) or 0.0) < 1 for limit in budget)), None)


def _text(budget: Budget) -> str:
    return ", ".join(map(str, budget))


def _described(group: ComparisonGroup, setting: Setting, budget: Budget) -> str:
    values = ((limit, setting.mean_cost(limit.cost)) for limit in budget)
    costs = ", ".join(f"{limit.name} {limit.cost.show(value)}" for limit, value in values if value is not None)
    return f"{setting.label} ({score_text(setting, group.main)}; {costs})"


def _given_up(group: ComparisonGroup, chosen: Setting) -> str:
    """Return what a setting gives up against the best of all, with the interval over the shared seeds."""
    best, measure = group.measured[0], group.main
    if chosen is best:
        return "It gives up nothing: it is the best of all settings."
    lead, unit = lead_of(best, chosen, measure), unit_of_differences(measure)
    than = f"against the best of all, {best.label}"
    if lead.difference is None:
        loss = measure.show(abs(fmean(best.by_seed(measure).values()) - fmean(chosen.by_seed(measure).values())))
        return f"It gives up {loss} {unit} {than}, without an interval: {lead.reason}."
    loss = measure.show(lead.difference)
    if lead.half_width is None:
        return f"It gives up {loss} {unit} {than}."
    ends = [measure.show(lead.difference + sign * lead.half_width) for sign in (-1, 1)]
    return (
        f"It gives up {loss} {unit} {than} (95 % interval {ends[0]} to {ends[1]} over {lead.num_seeds} shared seeds)."
    )


def _unmeasured(group: ComparisonGroup, budget: Budget) -> Iterator[str]:
    """Yield which settings are left out: those without a number, and those not measured, with the command for it."""
    limits = [limit for limit in budget if limit.name in INFERENCE]
    unmeasured = [each for each in group.measured if limits and each.mean_cost(INFERENCE["weight_mb"]) is None]
    for limit in limits:
        without = [each for each in group.measured if limit.ratio(each) is None and each not in unmeasured]
        if without:
            yield f"These have no {limit.name}: {_names(without)}."
    if unmeasured:
        paths = [str(run.path) for setting in unmeasured for run in setting.counted.values()]
        more = f", and likewise {len(paths) - MOST_NAMED} more runs" if len(paths) > MOST_NAMED else ""
        command = f"python -m rnnexp.latency {shlex.join(paths[:MOST_NAMED])}"
        yield f"Not measured here, and left out: {_names(unmeasured)}. Measure with: {command}{more}"


def _names(settings: Sequence[Setting]) -> str:
    return first_of([setting.label for setting in settings], MOST_NAMED)
