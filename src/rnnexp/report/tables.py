"""The tables of one group."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rnnexp.report.published import Published, PublishedComparison, compare_with_published
from rnnexp.report.recipes import differences, recipe_text
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.records.runs import Run
from rnnexp.report.render.document import Table
from rnnexp.report.stats.ranking import BEST, EVEN, Comparison, sample_test_name
from rnnexp.report.stats.significance import PairedTestResult, show_p, summarize
from rnnexp.tasks.registry import Measure
from rnnexp.tracking.status import Status

NOTHING = "–"
KINDS = {BEST: "best", EVEN: "even"}
"""The kind of a table's row, by verdict."""


def results_table(group: ComparisonGroup, comparisons: Sequence[Comparison]) -> Table:
    """Return the results, with a row for every setting, the best first. Settings without a result are included."""
    verdicts = {comparison.setting: comparison.verdict for comparison in comparisons}
    others = group.measures[1:]
    facts = MajorityFacts(group)
    axes = _axis_columns(group)
    columns = [*axes, group.main.title, "95 % interval", "n", "against the best", "notes"]
    # In a search the measures of the task are those of the test set, in contrast to the main one.
    columns += [*(f"test {each.title}" if group.is_search else each.title for each in others), "runs"]
    rows, kinds, seeds = [], [], []
    for setting in group.settings:
        verdict = verdicts.get(setting, "no result")
        rows.append(
            [
                *_axis_cells(setting),
                mean_and_deviation(setting, group.main),
                interval(setting),
                str(len(setting.counted)),
                verdict,
                "; ".join(facts.notes(setting)) or NOTHING,
                *(mean_and_deviation(setting, measure) for measure in others),
                setting.statuses(),
            ]
        )
        has_failed = not setting.counted and any(run.status.is_failure for run in setting.runs)
        kinds.append(KINDS.get(verdict, "bad" if has_failed else ""))
        shown = {measure: setting.by_seed(measure) for measure in group.measures}
        seeds.append(
            [
                [
                    *_seed_cells(setting, seed),
                    *(group.main.show(shown[group.main][seed]), "", "", "", run.path.name),
                    *(measure.show(shown[measure][seed]) if seed in shown[measure] else NOTHING for measure in others),
                    run.status,
                ]
                for seed, run in setting.counted.items()
            ]
        )
    words = {*axes, "against the best", "runs", "notes"}
    return Table(columns, rows, frozenset(columns) - words, kinds, seeds)


def costs_table(group: ComparisonGroup) -> Table:
    """Return the costs, the precision and the device, with a row for every measured setting, the best first."""
    costs = [cost for cost in group.costs if any(setting.mean_cost(cost) is not None for setting in group.measured)]
    columns = [*_axis_columns(group), *(cost.label for cost in costs), "effective precision", "device"]
    rows = [
        [
            *_axis_cells(setting),
            *(cost.show(mean) if (mean := setting.mean_cost(cost)) is not None else NOTHING for cost in costs),
            _values_of(setting, effective_precision),
            _values_of(setting, lambda run: run.device),
        ]
        for setting in group.measured
    ]
    seeds = [
        [
            [
                *_seed_cells(setting, seed),
                *(NOTHING if (value := cost.of(run)) is None else cost.show(value) for cost in costs),
                effective_precision(run) or NOTHING,
                run.device or NOTHING,
            ]
            for seed, run in setting.counted.items()
        ]
        for setting in group.measured
    ]
    return Table(columns, rows, frozenset(cost.label for cost in costs), seeds=seeds)


def _axis_columns(group: ComparisonGroup) -> list[str]:
    return [axis.name for axis in group.axes] or ["setting"]


def _axis_cells(setting: Setting) -> list[str]:
    return list(setting.axis_values.values()) or [setting.label]


def _seed_cells(setting: Setting, seed: str) -> list[str]:
    """Return the cells of a seed in the columns of the axes."""
    return [f"seed {seed}", *("" for _ in _axis_cells(setting)[1:])]


def mean_and_deviation(setting: Setting, measure: Measure) -> str:
    """Return the mean and the standard deviation over seeds, `98.91 ± 0.12`; without deviation for a single seed."""
    values = list(setting.by_seed(measure).values())
    if not values:
        return NOTHING
    summary = summarize(values)
    deviation = "" if summary.deviation is None else f" ± {measure.show(summary.deviation)}"
    return f"{measure.show(summary.mean)}{deviation}"


def interval(setting: Setting) -> str:
    """Return the 95 % interval of the main measure's mean over seeds."""
    if len(setting.scores) < 2:
        return NOTHING
    summary = summarize(setting.scores)
    low, high = setting.main.interval(summary.mean, summary.half_width or 0.0)
    return f"{setting.main.show(low)} to {setting.main.show(high)}"


def effective_precision(run: Run) -> str:
    """Return the precision of the recurrence, with the requested one if it differs."""
    requested, effective = run.text("precision.requested"), run.text("precision.effective")
    return effective if requested == effective else f"{effective} (requested: {requested})"


def _values_of(setting: Setting, fact: Callable[[Run], str]) -> str:
    return ", ".join(dict.fromkeys(fact(run) or "unknown" for run in setting.counted.values())) or NOTHING


class MajorityFacts:
    """The device and the code of most runs of a group, for notes about settings that differ.

    Args:
        group: the group.
    """

    def __init__(self, group: ComparisonGroup) -> None:
        self._facts: dict[str, Callable[[Run], str]] = {"device": lambda run: run.device, "code": lambda run: run.code}
        self._most_common = {
            name: Counter(map(fact, group.counted)).most_common(1) for name, fact in self._facts.items()
        }

    def notes(self, setting: Setting) -> list[str]:
        """Return notes about differences that matter in a comparison of the setting with others."""
        runs = list(setting.counted.values())
        notes = []
        for name, fact in self._facts.items():
            others = dict.fromkeys(value for run in runs if (value := fact(run)) != self._most_common[name][0][0])
            if others:
                notes.append(f"other {name} ({', '.join(value or 'unknown' for value in others)})")
        if any(run.text("resumed_from") for run in runs):
            notes.append("resumed: times are those of the last part")
        if any(run.number("num_test_samples") != run.number("data.num_test") for run in runs):
            notes.append("tested on a part of the test set")
        seeds = Counter(run.seed for run in setting.runs if run.status is Status.DONE)
        notes += [f"seed {seed} ran {number} times, the newest counts" for seed, number in seeds.items() if number > 1]
        return notes


def comparisons_table(group: ComparisonGroup, comparisons: Sequence[Comparison]) -> Table:
    """Return the tests against the best, over seeds and over samples, with a row for every other measured setting."""
    sample_test = sample_test_name(comparisons)
    has_details = any(comparison.samples and comparison.samples.detail for comparison in comparisons)
    lead = f"lead of the best, {_unit_of_differences(group.main)}"
    columns = ["setting", "against the best", "shared seeds", lead, "95 % interval", "p over seeds", "adjusted"]
    if has_details:
        columns.append("alone right (best : this), mean over seeds")
    if sample_test:
        columns += [f"p over samples ({sample_test})", "adjusted"]
    rows, kinds = [], []
    for comparison in comparisons[1:]:
        seeds, samples = comparison.seeds or PairedTestResult(None), comparison.samples or PairedTestResult(None)
        row = [
            comparison.setting.label,
            comparison.verdict,
            str(seeds.num_seeds),
            NOTHING if seeds.difference is None else group.main.show(seeds.difference),
            _interval_of_lead(group.main, seeds),
            *_p_cells(seeds, comparison.seeds_p),
        ]
        if has_details:
            row.append(samples.detail or NOTHING)
        if sample_test:
            row += _p_cells(samples, comparison.samples_p)
        rows.append(row)
        kinds.append(KINDS.get(comparison.verdict, ""))
    return Table(columns, rows, frozenset(columns[2:5]), kinds)


def _interval_of_lead(measure: Measure, seeds: PairedTestResult) -> str:
    if seeds.difference is None or seeds.half_width is None:
        return NOTHING
    low, high = seeds.difference - seeds.half_width, seeds.difference + seeds.half_width
    return f"{measure.show(low)} to {measure.show(high)}"


def _unit_of_differences(measure: Measure) -> str:
    # A difference of two percentages is in percentage points.
    return "points" if measure.unit == "%" else measure.unit or measure.label


def _p_cells(test: PairedTestResult, adjusted: float | None) -> tuple[str, str]:
    if test.p is None or adjusted is None:
        return test.reason or NOTHING, NOTHING
    return show_p(test.p), show_p(adjusted)


def unfinished_table(group: ComparisonGroup, root: Path) -> Table | None:
    """Return a row for every run without a result, with status and reason, and for every seed that only others ran."""
    rows, kinds = [], []
    seeds = dict.fromkeys(run.seed for run in group.runs)
    for setting in group.settings:
        for run in setting.runs:
            is_done = run.status is Status.DONE
            if not is_done or run.metric(setting.main.name) is None:
                reason = run.reason or (f"its result has no {setting.main.name}" if is_done else NOTHING)
                where = relative_to(root, run.path)
                rows.append([setting.label, run.seed, run.status, reason, run.since or NOTHING, where])
                kinds.append(_kind_of(run))
        for seed in seeds:
            if seed not in {run.seed for run in setting.runs}:
                rows.append([setting.label, seed, Status.MISSING, "others have run this seed", NOTHING, NOTHING])
                kinds.append("")
    columns = ["setting", "seed", "status", "reason", "since", "directory"]
    return Table(columns, rows, frozenset(), kinds) if rows else None


def damaged_table(group: ComparisonGroup, root: Path) -> Table | None:
    """Return a row for every file of a run that the report could read only in part or not at all."""
    rows = [
        [setting.label, run.seed, reason, relative_to(root, run.path)]
        for setting in group.settings
        for run in setting.runs
        for reason in run.damage
    ]
    return Table(["setting", "seed", "reason", "directory"], rows, frozenset()) if rows else None


def runs_table(group: ComparisonGroup, root: Path) -> Table:
    """Return a row for every run of a group, with the command that trains it once more.

    Args:
        group: the group.
        root: the directory to which the shown paths are relative.
    """
    rows, anchors, kinds = [], [], []
    for setting in group.settings:
        for run in setting.runs:
            value = run.metric(group.main.name)
            score = NOTHING if value is None else group.main.show(group.main.scale * value)
            row = [relative_to(root, run.path), setting.label, run.seed, run.status, score, run.since or NOTHING]
            rows.append([*row, run.command or NOTHING])
            anchors.append(run.anchor)
            kinds.append("bad" if run.status.is_failure else "")
    columns = ["run", "setting", "seed", "status", group.main.title, "since", "command"]
    return Table(columns, rows, frozenset({group.main.title}), kinds, anchors=anchors)


def ungrouped_table(runs: Sequence[Run], root: Path) -> Table:
    """Return a row for every run whose config cannot be read."""
    rows = [[relative_to(root, run.path), run.status, run.reason] for run in runs]
    return Table(["directory", "status", "reason"], rows, frozenset(), [_kind_of(run) for run in runs])


def _kind_of(run: Run) -> str:
    return "bad" if run.status.is_failure else ""


def relative_to(root: Path, path: Path) -> str:
    """Return the path relative to the root if it is below the root, or else the path itself."""
    relative = os.path.relpath(path, root)
    return str(path) if relative.startswith("..") else relative


def published_table(group: ComparisonGroup) -> Table | None:
    """Return published numbers on the same dataset, those with a number of ours first and incomparable ones last."""
    found = compare_with_published(group)
    comparable = [_comparable_row(group, comparison) for comparison in found if not comparison.reason]
    # Rows with a number of ours come first.
    comparable.sort(key=lambda row: row[2] == NOTHING)
    rows = [*comparable, *_rows_of_others(found)]
    kinds = ["even" if "same recipe" in row[3] else "" for row in rows]
    columns = ["system", "published", "ours: mean ± sd", "comparable?", "its recipe", "our recipe", "data", "source"]
    return Table(columns, rows, frozenset({"published"}), kinds) if rows else None


def _comparable_row(group: ComparisonGroup, comparison: PublishedComparison) -> list[str]:
    published, ours, recipe = comparison.published, NOTHING, NOTHING
    verdict = "comparable, but no such network was trained here"
    measure = next((candidate for candidate in group.kind.measures if candidate.name == published.metric), None)
    if comparison.ours is not None and measure is not None:
        ours = f"{mean_and_deviation(comparison.ours, measure)} ({comparison.ours.label})"
        recipe = recipe_text(comparison.ours)
        verdict = f"same data, split and scoring; {_recipe_verdict(comparison.ours, published)}"
    return [published.system, published.score, ours, verdict, published.setting or NOTHING, recipe, *_origin(published)]


def _recipe_verdict(ours: Setting, published: Published) -> str:
    if found := differences(ours, published.recipe):
        return f"recipe differs: {'; '.join(found)}"
    if not published.recipe:
        return "recipe not compared, since the source does not state it by our keys"
    return f"same recipe in what the source states ({', '.join(key.rpartition('.')[2] for key in published.recipe)})"


def _rows_of_others(found: Sequence[PublishedComparison]) -> list[list[str]]:
    """Return the numbers that are not comparable; those with the same source and reason share a row."""
    shared: dict[tuple[str, ...], list[PublishedComparison]] = {}
    for comparison in found:
        if comparison.reason:
            published = comparison.published
            key = (f"not comparable: {comparison.reason}", published.setting or NOTHING, *_origin(published))
            shared.setdefault(key, []).append(comparison)
    rows = []
    for (verdict, setting, *origin), members in shared.items():
        systems = "; ".join(comparison.published.system for comparison in members)
        scores = "; ".join(comparison.published.score for comparison in members)
        rows.append([systems, scores, NOTHING, verdict, setting, NOTHING, *origin])
    return rows


def _origin(published: Published) -> tuple[str, str]:
    data = ", ".join(f"{name} {value}" for name, value in published.data.items())
    return f"{data}; {published.split} split", published.source
