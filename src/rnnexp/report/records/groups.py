"""Settings of runs that differ only in the seed, and groups of settings that were tested on the same data."""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

from rnnexp.report.records.axes import Axis, companions_of, name_settings, number_order
from rnnexp.report.records.costs import Cost, costs_of
from rnnexp.report.records.inference import with_one_machine
from rnnexp.report.records.runs import Run
from rnnexp.report.records.testsets import assign_test_sets, digest_of, titles_of_test_sets
from rnnexp.tasks.registry import OF_AVERAGE, OF_BEST, Measure, TaskKind, kind_of_run, plain_name
from rnnexp.tracking.status import Status


@dataclass(frozen=True, eq=False)
class Setting:
    """Runs that differ only in their seed. Settings are equal only if they are the same object.

    Args:
        label: a short name.
        axis_values: the name and the shown value of each axis of the group.
        runs: all of its runs, with any status.
        main: the main measure of the group; a run without it does not count.
    """

    label: str
    axis_values: Mapping[str, str]
    runs: Sequence[Run]
    main: Measure

    @cached_property
    def counted(self) -> dict[str, Run]:
        """The run that counts for each seed: done, with the main measure, and the newest if there are several."""
        done = [run for run in self.runs if run.status is Status.DONE and run.metric(self.main.name) is not None]
        newest_last = sorted(done, key=lambda run: run.since)
        return dict(sorted(((run.seed, run) for run in newest_last), key=lambda item: number_order(item[0])))

    def by_seed(self, measure: Measure) -> dict[str, float]:
        """Return the scaled values of a measure by seed, for the runs that count."""
        values = {seed: run.metric(measure.name) for seed, run in self.counted.items()}
        return {seed: measure.scale * value for seed, value in values.items() if value is not None}

    @property
    def scores(self) -> list[float]:
        """The scaled values of the main measure, for the runs that count."""
        return list(self.by_seed(self.main).values())

    def mean_cost(self, cost: Cost) -> float | None:
        """Return the scaled mean of a cost over the runs that count; None if none recorded it."""
        return cost.mean(self.counted.values())

    def statuses(self) -> str:
        """Return the number of runs of each status: `3 done, 1 failed`."""
        return ", ".join(f"{number} {status}" for status, number in Counter(run.status for run in self.runs).items())


@dataclass(frozen=True)
class ComparisonGroup:
    """Settings that were tested on the same data.

    Args:
        title: the name of the data, and the differences from other test sets of that name.
        kind: the row of the task in the registry.
        axes: the config keys in which the settings differ.
        together: descriptions of the keys that change with an axis.
        settings: the settings, the best first and those without a result last.
        main: the measure by which settings are compared: that of the task, or the one that a search optimized.
    """

    title: str
    kind: TaskKind
    axes: Sequence[Axis]
    together: Sequence[str]
    settings: Sequence[Setting]
    main: Measure

    @property
    def is_search(self) -> bool:
        """Whether a setting is a trial of a search, so that the settings are compared on the validation split."""
        return bool(optimized_metrics(self.runs))

    @property
    def measures(self) -> list[Measure]:
        """The measures that some run has, the main one first."""
        others = [measure for measure in self.kind.measures if measure != self.main]
        return [self.main, *(each for each in others if any(setting.by_seed(each) for setting in self.measured))]

    @property
    def costs(self) -> tuple[Cost, ...]:
        """The costs in the table of costs."""
        return costs_of(self.kind)

    @cached_property
    def measured(self) -> list[Setting]:
        """The settings with at least one run that counts, the best first."""
        return [setting for setting in self.settings if setting.counted]

    def best_of_each_cell(self) -> dict[str, Setting]:
        """Return the best setting by cell, and by direction if both were measured, the best first."""
        best: dict[str, Setting] = {}
        for setting in self.measured:
            direction = ", bidirectional" if setting.axis_values.get("bidirectional") == "yes" else ""
            best.setdefault(f"{setting.runs[0].facts['cell']}{direction}", setting)
        return best

    @property
    def counted(self) -> list[Run]:
        """The runs that count, of all settings."""
        return [run for setting in self.measured for run in setting.counted.values()]

    @property
    def runs(self) -> Iterator[Run]:
        """All runs of all settings."""
        return (run for setting in self.settings for run in setting.runs)


def make_groups(runs: Sequence[Run]) -> tuple[list[ComparisonGroup], list[Run]]:
    """Return the groups by title, and the ungrouped runs, whose config cannot be read."""
    grouped = [run for run in runs if run.config is not None]
    ungrouped = [run for run in runs if run.config is None]
    # The full name of the task, since two people may have given the same short one.
    by_test: defaultdict[tuple[str, str], list[Run]] = defaultdict(list)
    kinds: dict[str, TaskKind] = {}
    for run, kind, test_set in zip(grouped, _kinds_of(grouped), assign_test_sets(grouped), strict=True):
        kinds.setdefault(kind.target, kind)
        by_test[kind.target, test_set].append(run)
    examples = {key: _with_digest_first(members) for key, members in by_test.items()}
    titles: dict[tuple[str, str], str] = {}
    for target in kinds:
        of_task = {key: run for key, run in examples.items() if key[0] == target}
        titles |= dict(zip(of_task, titles_of_test_sets(list(of_task.values())), strict=True))
    numbers = Counter(titles.values())
    groups = [
        _make_group(titles[key] + (f", {key[0]}" if numbers[titles[key]] > 1 else ""), kinds[key[0]], members)
        for key, members in by_test.items()
    ]
    return sorted(groups, key=lambda group: group.title), ungrouped


def _with_digest_first(runs: Sequence[Run]) -> Run:
    return next((run for run in runs if digest_of(run)), runs[0])


def _kinds_of(runs: Sequence[Run]) -> list[TaskKind]:
    """Return the row of each run's task. A run without a result has the row of another run of its task, if any."""
    targets = [str((run.config or {})["task"]["_target_"]) for run in runs]
    recorded = {
        target: kind_of_run(target, run.result["task_kind"])
        for target, run in zip(targets, runs, strict=True)
        if "task_kind" in run.result
    }
    return [recorded.get(target) or kind_of_run(target, None) for target in targets]


def _make_group(title: str, kind: TaskKind, runs: Sequence[Run]) -> ComparisonGroup:
    runs = with_one_machine(runs)
    by_identity: defaultdict[str, list[Run]] = defaultdict(list)
    for run in runs:
        by_identity[json.dumps(run.identity, sort_keys=True, default=str)].append(run)
    identities = [members[0].flat_identity for members in by_identity.values()]
    main = main_measure(kind, runs)
    axes, axis_values, labels = name_settings(
        identities, str(runs[0].facts["cell"]), is_search=bool(optimized_metrics(runs))
    )
    settings = [
        Setting(label, values, members, main)
        for label, values, members in zip(labels, axis_values, by_identity.values(), strict=True)
    ]

    def rank(setting: Setting) -> tuple[bool, float]:
        scores = setting.scores
        sign = -1 if main.higher_is_better else 1
        return (not scores, sign * sum(scores) / len(scores) if scores else 0.0)

    together = [words for axis in axes if (words := companions_of(axis, identities))]
    return ComparisonGroup(title, kind, axes, together, sorted(settings, key=rank), main)


def optimized_metrics(runs: Iterable[Run]) -> set[str]:
    """Return what the searches optimized whose trials are among the runs."""
    return {str(metric) for run in runs if (metric := (run.config or {}).get("optimized_metric"))}


def main_measure(kind: TaskKind, runs: Sequence[Run]) -> Measure:
    """Return what a search optimized if a run is its trial, or else the main measure of the task.

    A search chooses by a metric of the validation split. If the trials were ordered by the test set, the best of many
    would be chosen on the test set. So where searches optimized different metrics, or one whose direction is not known,
    it is the main measure of the task on the validation split.
    """
    optimized = optimized_metrics(runs)
    if not optimized:
        return kind.main
    of_validation = replace(kind.main, name=kind.main.validation, label=f"validation {kind.main.label}")
    if len(optimized) > 1:
        return of_validation
    (name,) = optimized
    if name in {measure.name for measure in kind.measures}:
        return next(measure for measure in kind.measures if measure.name == name)
    metric = plain_name(name)
    like = next((measure for measure in kind.measures if measure.validation == metric), None)
    if like is not None:
        of = {OF_BEST: " of the best epoch", OF_AVERAGE: " of the averaged weights"}.get(name.removeprefix(metric), "")
        return replace(like, name=name, label=f"validation {like.label}{of}")
    modes = {str(run.config.get("monitor_mode")) for run in runs if run.config and run.config.get("monitor") == metric}
    if len(modes) != 1:
        return of_validation
    return Measure(name, name, digits=4, higher_is_better=modes == {"max"}, lowest=None)
