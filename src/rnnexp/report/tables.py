"""The tables of one group."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rnnexp.report.published import Published, PublishedComparison, compare_with_published, published_numbers
from rnnexp.report.recipes import differences, recipe_text
from rnnexp.report.records.costs import INFERENCE, Cost
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.records.runs import Run
from rnnexp.report.render.document import Table
from rnnexp.report.stats.power import MOST_SEEDS
from rnnexp.report.stats.ranking import BEST, EVEN, Comparison, sample_test_name
from rnnexp.report.stats.significance import PairedTestResult, show_p, summarize
from rnnexp.tasks.registry import Measure
from rnnexp.tracking.status import Status

NOTHING = "–"
KINDS = {BEST: "best", EVEN: "even"}
"""The kind of a table's row, by verdict."""


def results_table(group: ComparisonGroup, comparisons: Sequence[Comparison]) -> Table:
    """Return the results, with a row for every setting, the best first. Settings without a result are included."""
    by_setting = {comparison.setting: comparison for comparison in comparisons}
    others = group.measures[1:]
    facts = MajorityFacts(group)
    axes = axis_columns(group)
    columns = [*axes, group.main.title, "95 % interval", "n", "against the best", "notes"]
    # In a search the measures of the task are those of the test set, in contrast to the main one.
    columns += [*(f"test {each.title}" if group.is_search else each.title for each in others), "runs"]
    rows, kinds, seeds = [], [], []
    for setting in group.settings:
        comparison = by_setting.get(setting)
        rows.append(
            [
                *axis_cells(setting),
                mean_and_deviation(setting, group.main),
                interval(setting),
                str(len(setting.counted)),
                show_verdict(comparison, group.main) if comparison else "no result",
                "; ".join(facts.notes(setting)) or NOTHING,
                *(mean_and_deviation(setting, measure) for measure in others),
                setting.statuses(),
            ]
        )
        has_failed = not setting.counted and any(run.status.is_failure for run in setting.runs)
        kinds.append(KINDS.get(comparison.verdict if comparison else "", "bad" if has_failed else ""))
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


def show_verdict(comparison: Comparison, measure: Measure) -> str:
    """Return the verdict; "not significantly worse" carries the smallest difference that would have been found."""
    if comparison.verdict != EVEN:
        return comparison.verdict
    return f"{EVEN} ({smallest_lead(comparison, measure)} would show)"


def smallest_lead(comparison: Comparison, measure: Measure) -> str:
    """Return the smallest lead of the best that the seeds of a comparison show: `a lead of 0.42 points`."""
    smallest = comparison.sensitivity and comparison.sensitivity.smallest
    if not smallest:
        # The scores are equal with each seed, so there is no deviation.
        return "any steady lead"
    return f"a lead of {measure.show(smallest)} {unit_of_differences(measure)}"


def costs_table(group: ComparisonGroup) -> Table:
    """Return the costs, the precision and the device, with a row for every measured setting, the best first."""
    texts = {"effective precision": effective_precision, "device": lambda run: run.device}
    return _table_of_costs(group, group.measured, group.costs, texts)


def inference_table(group: ComparisonGroup) -> Table | None:
    """Return the costs of inference, with a row for every setting that was measured; None if none was."""
    costs = list(INFERENCE.values())
    settings = [each for each in group.measured if any(each.mean_cost(cost) is not None for cost in costs)]
    texts = {
        "backend": lambda run: run.text("inference.backend.latency"),
        "precision": lambda run: run.text("inference.precision.effective"),
    }
    return _table_of_costs(group, settings, costs, texts) if settings else None


def _table_of_costs(
    group: ComparisonGroup, settings: Sequence[Setting], costs: Sequence[Cost], texts: dict[str, Callable[[Run], str]]
) -> Table:
    """Return those costs that some setting has, and texts of the runs, with a row for every setting."""
    found = [cost for cost in costs if any(setting.mean_cost(cost) is not None for setting in settings)]
    rows = [
        [
            *axis_cells(setting),
            *(cost.show(mean) if (mean := setting.mean_cost(cost)) is not None else NOTHING for cost in found),
            *(_values_of(setting, text) for text in texts.values()),
        ]
        for setting in settings
    ]
    seeds = [
        [
            [
                *_seed_cells(setting, seed),
                *(NOTHING if (value := cost.of(run)) is None else cost.show(value) for cost in found),
                *(text(run) or NOTHING for text in texts.values()),
            ]
            for seed, run in setting.counted.items()
        ]
        for setting in settings
    ]
    columns = [*axis_columns(group), *(cost.label for cost in found), *texts]
    return Table(columns, rows, frozenset(cost.label for cost in found), seeds=seeds)


def axis_columns(group: ComparisonGroup) -> list[str]:
    return [axis.name for axis in group.axes] or ["setting"]


def axis_cells(setting: Setting) -> list[str]:
    return list(setting.axis_values.values()) or [setting.label]


def _seed_cells(setting: Setting, seed: str) -> list[str]:
    """Return the cells of a seed in the columns of the axes."""
    return [f"seed {seed}", *("" for _ in axis_cells(setting)[1:])]


def mean_and_deviation(setting: Setting, measure: Measure) -> str:
    """Return the mean and the standard deviation over seeds, `98.91 ± 0.12`; without deviation for a single seed."""
    values = list(setting.by_seed(measure).values())
    if not values:
        return NOTHING
    summary = summarize(values)
    deviation = "" if summary.deviation is None else f" ± {measure.show(summary.deviation)}"
    return f"{measure.show(summary.mean)}{deviation}"


def score_text(setting: Setting, measure: Measure) -> str:
    """Return the mean and the standard deviation with the name and the unit of the measure: `acc 98.91 ± 0.12 %`."""
    return f"{measure.label} {mean_and_deviation(setting, measure)} {measure.unit}".rstrip()


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
        if any(run.number("num_test_samples") != run.number("data.num_test") for run in runs):
            notes.append("tested on a part of the test set")
        seeds = Counter(run.seed for run in setting.runs if run.status is Status.DONE)
        notes += [f"seed {seed} ran {number} times, the newest counts" for seed, number in seeds.items() if number > 1]
        return notes


def comparisons_table(group: ComparisonGroup, comparisons: Sequence[Comparison]) -> Table:
    """Return the tests against the best, over seeds and over samples, with a row for every other measured setting."""
    sample_test = sample_test_name(comparisons)
    has_details = any(comparison.samples and comparison.samples.detail for comparison in comparisons)
    lead = f"lead of the best, {unit_of_differences(group.main)}"
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
            show_verdict(comparison, group.main),
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


def sensitivity_table(group: ComparisonGroup, comparisons: Sequence[Comparison], margin: float | None) -> Table:
    """Return what each comparison with the best could have shown, with a row for every other measured setting."""
    unit = unit_of_differences(group.main)
    columns = ["setting", "shared seeds", f"deviation of the lead, {unit}", f"smallest detectable lead, {unit}"]
    columns += ["shared seeds that would settle it", "P(best is better with another seed) [95 % interval]"]
    if margin is not None:
        columns.append(f"within ±{margin:g} {unit}")
    rows = []
    for comparison in comparisons[1:]:
        seeds, found = comparison.seeds, comparison.sensitivity
        if seeds is None or found is None:
            continue
        row = [
            comparison.setting.label,
            str(seeds.num_seeds),
            NOTHING if seeds.deviation is None else group.main.show(seeds.deviation),
            NOTHING if found.smallest is None else group.main.show(found.smallest),
            _seeds_to_settle(comparison),
            NOTHING if found.superiority is None else found.superiority.show(),
        ]
        rows.append([*row, found.equivalence] if margin is not None else row)
    return Table(columns, rows, frozenset(columns[1:6]))


def _seeds_to_settle(comparison: Comparison) -> str:
    if comparison.is_settled:
        return "settled"
    found = comparison.sensitivity
    if found is None or found.smallest is None:
        return NOTHING
    return f"more than {MOST_SEEDS:,}" if found.num_seeds is None else f"{found.num_seeds:,}"


def _interval_of_lead(measure: Measure, seeds: PairedTestResult) -> str:
    if seeds.difference is None or seeds.half_width is None:
        return NOTHING
    low, high = seeds.difference - seeds.half_width, seeds.difference + seeds.half_width
    return f"{measure.show(low)} to {measure.show(high)}"


def unit_of_differences(measure: Measure) -> str:
    """Return the unit of a difference of two shown values."""
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
    keys = {published.source: [published.key] for published in published_numbers()}
    citations = [keys[source] for *_, source in rows]
    return Table(columns, rows, frozenset({"published"}), kinds, citations=citations) if rows else None


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
