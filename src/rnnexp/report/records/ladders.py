"""Ladders: the runs of a memory task over sequences of several lengths, with those that solved it."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.records.runs import Run
from rnnexp.report.records.same_settings import labels_across
from rnnexp.report.records.testsets import differences
from rnnexp.tasks.registry import Measure


@dataclass(frozen=True)
class Rung:
    """A setting at one length.

    Args:
        length: T, the steps over which the task needs memory.
        setting: the runs.
        measure: what decides whether a run solved the task.
        threshold: the value of the measure from which on a run solved it, scaled.
    """

    length: int
    setting: Setting
    measure: Measure
    threshold: float

    @property
    def example(self) -> Run:
        """One of the runs that count; they have the same data."""
        return next(iter(self.setting.counted.values()))

    @property
    def values(self) -> list[float]:
        """The scaled measure of each seed."""
        return list(self.setting.by_seed(self.measure).values())

    @property
    def num_solved(self) -> int:
        """The number of seeds that solved the task."""
        sign = 1 if self.measure.higher_is_better else -1
        return sum(sign * value >= sign * self.threshold for value in self.values)


@dataclass(frozen=True)
class Ladder:
    """The settings of a memory task at several lengths.

    Args:
        task: the name of the memory task, with the differences from other data of that name.
        measure: what decides whether a run solved the task.
        lines: the rungs of each setting by its label, in ascending length.
    """

    task: str
    measure: Measure
    lines: Mapping[str, Sequence[Rung]]

    @cached_property
    def thresholds(self) -> dict[int, float]:
        """The threshold by length, ascending; one of copying depends on the length."""
        rungs = [rung for line in self.lines.values() for rung in line]
        return dict(sorted((rung.length, rung.threshold) for rung in rungs))

    def highest(self, label: str) -> Rung | None:
        """Return the rung of the largest length that a seed of the setting solved; None if none was."""
        return next((rung for rung in reversed(self.lines[label]) if rung.num_solved), None)

    @cached_property
    def ranking(self) -> list[str]:
        """The labels: the largest solved length first, then those with more seeds."""

        def rank(label: str) -> tuple[int, float]:
            rung = self.highest(label)
            return (rung.length, rung.num_solved / len(rung.values)) if rung else (0, 0.0)

        return sorted(self.lines, key=rank, reverse=True)


def find_ladders(groups: Sequence[ComparisonGroup]) -> list[Ladder]:
    """Return the memory tasks that were run at several lengths.

    Data of a memory task record `length`, `solved_metric` and `solved_value` in result.json. Settings of different
    lengths belong together if they are the same, see `labels_across`, and their data differ in nothing else.
    """
    rungs: defaultdict[tuple[str, Measure], list[Rung]] = defaultdict(list)
    for group in groups:
        for setting in group.measured:
            if rung := _rung_of(setting, group):
                rungs[rung.example.text("data.name"), rung.measure].append(rung)
    found: defaultdict[tuple[str, Measure], defaultdict[str, list[Rung]]] = defaultdict(lambda: defaultdict(list))
    for (name, measure), of_name in rungs.items():
        settings = {rung.setting for rung in of_name}
        labels = labels_across([group for group in groups if not settings.isdisjoint(group.measured)])
        examples = [rung.example for rung in of_name]
        for rung in of_name:
            task = ", ".join([name, *differences(rung.example, examples, but="length")])
            found[task, measure][labels[rung.setting]].append(rung)
    ladders = [
        Ladder(task, measure, {label: sorted(rungs, key=lambda rung: rung.length) for label, rungs in lines.items()})
        for (task, measure), lines in found.items()
    ]
    return [ladder for ladder in ladders if len(ladder.thresholds) > 1]


def _rung_of(setting: Setting, group: ComparisonGroup) -> Rung | None:
    run = next(iter(setting.counted.values()))
    length, threshold = run.number("data.length"), run.number("data.solved_value")
    measure = next((each for each in group.kind.measures if each.name == run.text("data.solved_metric")), None)
    if length is None or length < 1 or length % 1 or threshold is None or measure is None:
        return None
    if not setting.by_seed(measure):
        return None
    return Rung(int(length), setting, measure, measure.scale * threshold)
