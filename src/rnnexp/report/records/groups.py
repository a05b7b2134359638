"""Runs grouped: those that differ only in the seed are one setting, those tested on the same data one group."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rnnexp.report.records.axes import Axis, companions_of, flatten, labels_of, varying_axes
from rnnexp.report.records.measures import Cost, Measure, costs_of, measures_of
from rnnexp.report.records.runs import UNREADABLE, Run
from rnnexp.tracking.identity import SEEDS, identity_of

TEST_KEYS = (
    *("_target_", "corpus", "name", "view", "permutation", "source_lang", "target_lang", "test", "path", "filter"),
    *("num_pairs", "generator_seed", "held_out", "val_share", "test_share"),
)
"""Of the config's `data`: what decides what a network is tested on, and what one step of it sees."""


@dataclass(frozen=True)
class Setting:
    """Runs that differ only in their seed."""

    label: str
    axis_values: Mapping[str, str]
    """the name of each axis of the group, and what stands there"""
    runs: Sequence[Run]
    main: Measure
    """without it a run that is done does not count"""

    @property
    def counted(self) -> dict[str, Run]:
        """By seed the run that counts: done, with the main metric, and of several the newest."""
        done = [run for run in self.runs if run.status == "done" and run.metric(self.main.name) is not None]
        newest_last = sorted(done, key=lambda run: run.since)
        return dict(sorted(((run.seed, run) for run in newest_last), key=lambda item: _by_number(item[0])))

    def by_seed(self, measure: Measure) -> dict[str, float]:
        """A metric of the runs that count, as it is shown."""
        values = {seed: run.metric(measure.name) for seed, run in self.counted.items()}
        return {seed: measure.scale * value for seed, value in values.items() if value is not None}

    @property
    def scores(self) -> list[float]:
        """The main metric of the runs that count, as it is shown."""
        return list(self.by_seed(self.main).values())

    def mean_cost(self, cost: Cost) -> float | None:
        """The mean over the runs that count, as it is shown."""
        values = [value for run in self.counted.values() if (value := run.number(cost.path)) is not None]
        return cost.scale * sum(values) / len(values) if values else None

    def states(self) -> str:
        """How many runs are what: `3 done, 1 failed`."""
        return ", ".join(f"{number} {status}" for status, number in Counter(run.status for run in self.runs).items())


@dataclass(frozen=True)
class ComparisonGroup:
    """Settings that were tested on the same data, the best first and those without a number last."""

    title: str
    task: str
    measures: Sequence[Measure]
    axes: Sequence[Axis]
    together: Sequence[str]
    """what changes with an axis and is none itself, in words"""
    settings: Sequence[Setting]

    @property
    def main(self) -> Measure:
        return self.measures[0]

    @property
    def costs(self) -> tuple[Cost, ...]:
        return costs_of(self.task)

    @property
    def measured(self) -> list[Setting]:
        """Those with at least one run that counts."""
        return [each for each in self.settings if each.counted]

    def best_of_each_cell(self) -> dict[str, Setting]:
        """By cell, and direction where both were measured, the best setting, in the group's order."""
        best: dict[str, Setting] = {}
        for setting in self.measured:
            direction = ", bidirectional" if setting.axis_values.get("bidirectional") == "yes" else ""
            best.setdefault(f"{setting.runs[0].facts['cell']}{direction}", setting)
        return best

    @property
    def runs(self) -> Iterator[Run]:
        return (run for setting in self.settings for run in setting.runs)


def make_groups(runs: Sequence[Run]) -> tuple[list[ComparisonGroup], list[Run]]:
    """The groups, and the runs that have a place in none because nothing tells what they were to compute."""
    tested_alike: defaultdict[str, list[Run]] = defaultdict(list)
    lost = []
    for run in runs:
        if run.config is None:
            lost.append(run)
        else:
            tested_alike[_key({"task": run.facts["task_name"], **_tested_on(run)})].append(run)
    titles = _titles([group[0] for group in tested_alike.values()])
    groups = [_make_group(title, group) for title, group in zip(titles, tested_alike.values(), strict=True)]
    return sorted(groups, key=lambda group: group.title), lost


def _make_group(title: str, runs: Sequence[Run]) -> ComparisonGroup:
    task = str(runs[0].facts["task_name"])
    measures = measures_of(task)
    groups: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        groups[_key(_identity(run))].append(run)
    identities = [flatten(_identity(group[0])) for group in groups.values()]
    axes = varying_axes(identities)
    axis_values = [{axis.name: axis.show(identity) for axis in axes} for identity in identities]
    labels = labels_of(axis_values)
    if "model.cell" not in {axis.key for axis in axes}:
        # Also where all have it: the cell is what one asks for.
        labels = [", ".join(filter(None, [str(runs[0].facts["cell"]), label])) for label in labels]
    settings = [
        Setting(label, its, group, measures[0])
        for label, its, group in zip(labels, axis_values, groups.values(), strict=True)
    ]

    def rank(setting: Setting) -> tuple[bool, float]:
        scores = setting.scores
        sign = -1 if measures[0].higher_is_better else 1
        return (not scores, sign * sum(scores) / len(scores) if scores else 0.0)

    together = [words for axis in axes if (words := companions_of(axis, identities))]
    return ComparisonGroup(title, task, measures, axes, together, sorted(settings, key=rank))


def _identity(run: Run) -> dict[str, Any]:
    return identity_of(run.config or {}, *SEEDS)


def _tested_on(run: Run) -> dict[str, Any]:
    data = (run.config or {})["data"]
    return {key: data[key] for key in TEST_KEYS if key in data}


def _titles(examples: Sequence[Run]) -> list[str]:
    """The names of the data, and of namesakes what tells them apart."""
    names = [str(run.facts["dataset"]) for run in examples]
    titles = []
    for name, run in zip(names, examples, strict=True):
        namesakes = [_tested_on(other) for other, its_name in zip(examples, names, strict=True) if its_name == name]
        ours = _tested_on(run)
        differing = [key for key in ours if len({_key({"": each.get(key)}) for each in namesakes}) > 1]
        titles.append(", ".join([name, *(f"{key} {ours[key]}" for key in differing)]))
    return titles


def _key(value: Mapping[str, Any]) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _by_number(seed: str) -> tuple[bool, float, str]:
    """Numbers as numbers are ordered, and before the rest."""
    try:
        return (False, float(seed), "")
    except ValueError:
        return (True, 0.0, seed)


def ended_badly(run: Run) -> bool:
    """Whether the run has a file that says something else than that it is well, or well under way."""
    return run.status in ("failed", "unsupported", "diverged", "pruned", "interrupted", UNREADABLE)
