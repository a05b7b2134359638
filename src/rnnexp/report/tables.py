"""The tables of one group."""

import os
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

from rnnexp.report.published import Published, beside
from rnnexp.report.records.groups import ComparisonGroup, Setting, ended_badly
from rnnexp.report.records.measures import Measure
from rnnexp.report.records.runs import MISSING, Run
from rnnexp.report.render.document import Table
from rnnexp.report.stats.ranking import BEST, EVEN, Comparison, sample_test_name
from rnnexp.report.stats.tests import Test, show_p, summarize

NOTHING = "–"
KINDS = {BEST: "best", EVEN: "even"}


def results_table(group: ComparisonGroup, comparisons: Sequence[Comparison]) -> Table:
    """A row for every setting, also for those without a number: what it reached, and what that took."""
    verdicts = {id(each.setting): each.verdict for each in comparisons}
    axes = [axis.name for axis in group.axes] or ["setting"]
    measures = [group.main, *(m for m in group.measures[1:] if any(each.by_seed(m) for each in group.measured))]
    costs = [cost for cost in group.costs if any(each.mean_cost(cost) is not None for each in group.measured)]
    usual = Usual(group)
    columns = [*axes, group.main.title, "95 % interval", "n", "against the best"]
    columns += [*(m.title for m in measures[1:]), *(cost.label for cost in costs)]
    columns += ["effective precision", "device", "runs", "notes"]
    rows, kinds = [], []
    for each in group.settings:
        verdict = verdicts.get(id(each), "no result")
        shown = [cost.show(mean) if (mean := each.mean_cost(cost)) is not None else NOTHING for cost in costs]
        rows.append(
            [
                *(each.axis_values.values() or [each.label]),
                mean_and_deviation(each, group.main),
                interval(each),
                str(len(each.counted)),
                verdict,
                *(mean_and_deviation(each, measure) for measure in measures[1:]),
                *shown,
                _all_of(each, effective_precision),
                _all_of(each, lambda run: run.device),
                each.states(),
                "; ".join(usual.notes(each)) or NOTHING,
            ]
        )
        kinds.append(KINDS.get(verdict, "" if each.counted or not any(map(ended_badly, each.runs)) else "bad"))
    words = {*axes, "against the best", "effective precision", "device", "runs", "notes"}
    return Table(columns, rows, frozenset(columns) - words, kinds)


def mean_and_deviation(setting: Setting, measure: Measure) -> str:
    """`98.91 ± 0.12`: the mean over seeds and the standard deviation; a single number stands alone."""
    values = list(setting.by_seed(measure).values())
    if not values:
        return NOTHING
    summary = summarize(values)
    deviation = "" if summary.deviation is None else f" ± {measure.show(summary.deviation)}"
    return f"{measure.show(summary.mean)}{deviation}"


def interval(setting: Setting) -> str:
    """The 95 % interval of the mean of the main metric, over seeds."""
    if len(setting.scores) < 2:
        return NOTHING
    summary = summarize(setting.scores)
    low, high = setting.main.interval(summary.mean, summary.half_width or 0.0)
    return f"{setting.main.show(low)} to {setting.main.show(high)}"


def effective_precision(run: Run) -> str:
    """What the recurrence computed in, and where that is another than was asked for, what was."""
    requested, effective = run.text("precision.requested"), run.text("precision.effective")
    return effective if requested == effective else f"{effective} (asked: {requested})"


def _all_of(setting: Setting, fact: Callable[[Run], str]) -> str:
    return ", ".join(dict.fromkeys(fact(run) or "unknown" for run in setting.counted.values())) or NOTHING


class Usual:
    """The device, the code and the test data that most runs of a group have, and what is otherwise."""

    def __init__(self, group: ComparisonGroup) -> None:
        runs = [run for each in group.measured for run in each.counted.values()]
        self._facts = (("device", lambda run: run.device), ("code", lambda run: run.code), ("test data", _test_data))
        self._usual = {name: Counter(map(fact, runs)).most_common(1) for name, fact in self._facts}

    def notes(self, setting: Setting) -> list[str]:
        """What a reader must know before comparing its row with the others."""
        runs = list(setting.counted.values())
        notes = []
        for name, fact in self._facts:
            others = dict.fromkeys(value for run in runs if (value := fact(run)) != self._usual[name][0][0])
            if others:
                shown = "" if name == "test data" else f" ({', '.join(value or 'unknown' for value in others)})"
                notes.append(f"other {name}{shown}")
        if any(run.text("resumed_from") for run in runs):
            notes.append("resumed: times are of the last part")
        if any(run.number("num_test_samples") != run.number("data.num_test") for run in runs):
            notes.append("tested on a part of the test set")
        seeds = Counter(run.seed for run in setting.runs if run.status == "done")
        notes += [f"seed {seed} ran {number} times, the newest counts" for seed, number in seeds.items() if number > 1]
        return notes


def _test_data(run: Run) -> str:
    """What tells one set of test samples from another."""
    data = run.result.get("data", {})
    return str(data.get("digest") or data.get("sha256/t10k-images-idx3-ubyte"))


def comparisons_table(group: ComparisonGroup, comparisons: Sequence[Comparison]) -> Table:
    """Every measured setting against the best: over seeds, and over test samples."""
    name = sample_test_name(group)
    columns = ["setting", "shared seeds", f"lead of the best, {_unit_of_differences(group.main)}"]
    columns += ["95 % interval of that", "p over seeds", "adjusted"]
    if name:
        columns += ["alone right (best : this), mean over seeds"] if group.task == "classification" else []
        columns += [f"p over samples ({name})", "adjusted", "against the best"]
    rows, kinds = [], []
    for each in comparisons[1:]:
        test = each.seeds or Test(None)
        show = group.main.show
        low_high = NOTHING
        if test.difference is not None and test.half_width is not None:
            low_high = f"{show(test.difference - test.half_width)} to {show(test.difference + test.half_width)}"
        row = [
            each.setting.label,
            str(test.num_seeds),
            NOTHING if test.difference is None else show(test.difference),
            low_high,
            *_p(test, each.seeds_p),
        ]
        if name:
            samples = each.samples or Test(None)
            row += [samples.detail or NOTHING] if group.task == "classification" else []
            row += [*_p(samples, each.samples_p), each.verdict]
        rows.append(row)
        kinds.append(KINDS.get(each.verdict, ""))
    return Table(columns, rows, frozenset({"shared seeds", columns[2], "95 % interval of that"}), kinds)


def _unit_of_differences(measure: Measure) -> str:
    # 2 % of 90 % would be 1.8 points.
    return "points" if measure.unit == "%" else measure.unit or measure.label


def _p(test: Test, adjusted: float | None) -> tuple[str, str]:
    if test.p is None or adjusted is None:
        return test.reason or NOTHING, NOTHING
    return show_p(test.p), show_p(adjusted)


def unfinished_table(group: ComparisonGroup, root: Path) -> Table | None:
    """Every run that gave no number, with its status and why, and the seeds that only others have run."""
    rows, kinds = [], []
    seeds = dict.fromkeys(run.seed for run in group.runs)
    for each in group.settings:
        for run in each.runs:
            if run.status != "done" or run.metric(each.main.name) is None:
                reason = run.reason or (f"its result has no {each.main.name}" if run.status == "done" else NOTHING)
                rows.append([each.label, run.seed, run.status, reason, run.since or NOTHING, below(run.path, root)])
                kinds.append("bad" if ended_badly(run) else "")
        for seed in seeds:
            if seed not in {run.seed for run in each.runs}:
                rows.append([each.label, seed, MISSING, "others have run this seed", NOTHING, NOTHING])
                kinds.append("")
    columns = ["setting", "seed", "status", "reason", "since", "directory"]
    return Table(columns, rows, frozenset(), kinds) if rows else None


def lost_table(runs: Sequence[Run], root: Path) -> Table:
    """Runs of which nothing tells what they were to compute."""
    rows = [[below(run.path, root), run.status, run.reason] for run in runs]
    return Table(
        ["directory", "status", "reason"], rows, frozenset(), ["bad" if ended_badly(run) else "" for run in runs]
    )


def below(path: Path, root: Path) -> str:
    """The path as seen from the root, if it lies below it."""
    relative = os.path.relpath(path, root)
    return str(path) if relative.startswith("..") else relative


def published_table(group: ComparisonGroup) -> Table | None:
    """Others' numbers on the same dataset: first those that ours stand beside, then why the rest do not compare."""
    rows, kinds = [], []
    apart: dict[tuple[str, ...], list[Published]] = {}
    for each in beside(group):
        published, ours = each.published, NOTHING
        data = ", ".join(f"{name} {value}" for name, value in published.facts.items())
        where = (f"{data}; {published.split} split", published.setting or NOTHING, published.source)
        if each.reason:
            # Of one table, and for one reason: one row.
            apart.setdefault((f"not comparable: {each.reason}", *where), []).append(published)
            continue
        verdict = "comparable, but no such network was trained here"
        if each.ours is not None and isinstance(published.scoring, Measure):
            ours = f"{mean_and_deviation(each.ours, published.scoring)} ({each.ours.label})"
            verdict = "comparable: same data, split and scoring"
        rows.append([published.system, published.score, ours, verdict, *where])
        kinds.append("even" if ours != NOTHING else "")
    for (verdict, *told), those in apart.items():
        systems, scores = ("; ".join(parts) for parts in zip(*((one.system, one.score) for one in those), strict=True))
        rows.append([systems, scores, NOTHING, verdict, *told])
        kinds.append("")
    columns = ["system", "published", "ours: mean ± sd", "comparable?", "data", "setting", "source"]
    # What compares first: nobody should have to look for it.
    order = sorted(range(len(rows)), key=lambda place: kinds[place] != "even")
    numeric = frozenset({"published"})
    return Table(columns, [rows[p] for p in order], numeric, [kinds[p] for p in order]) if rows else None
