"""Write the report of some directories."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from functools import partial
from importlib.util import find_spec
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import write_bytes, write_text
from rnnexp.report.budget import budget_lines, parse_budget
from rnnexp.report.ensembles import ensemble_blocks
from rnnexp.report.figures.answer import answer_caption, answer_figure
from rnnexp.report.figures.critical_difference import critical_difference
from rnnexp.report.ladder import ladder_answer, ladder_section, plot_ladder
from rnnexp.report.plan import plan_seeds
from rnnexp.report.published import bibliography
from rnnexp.report.records.groups import ComparisonGroup, make_groups
from rnnexp.report.records.ladders import Ladder, find_ladders
from rnnexp.report.records.runs import Run, find_runs
from rnnexp.report.records.same_settings import labels_across
from rnnexp.report.render.document import Block, Document, Paragraph, Section, Table
from rnnexp.report.render.html import to_html
from rnnexp.report.render.latex import cited_keys, references, to_latex
from rnnexp.report.render.markdown import to_markdown
from rnnexp.report.render.results_csv import results_csv, results_parquet
from rnnexp.report.search import search_blocks
from rnnexp.report.section import FigureWriter, answer, left_out, make_section, sentences
from rnnexp.report.stats.across import FEWEST, rank_across
from rnnexp.report.stats.ranking import Comparison, compare_with_best, sample_test_name
from rnnexp.report.tables import NOTHING, interval, mean_and_deviation, ungrouped_table

OVER_SEEDS = (
    "Runs that differ only in their seed are one setting: mean ± standard deviation over its seeds, and the 95 % "
    "interval of the mean by Student's t. The verdict against the best comes from a paired t-test over the seeds that "
    "both have, two-sided, at 5 %, after Holm's correction among the tests of all pairs of settings, since the best "
    "is chosen by the same scores."
)
SENSITIVITY = (
    "The smallest detectable lead is the true lead which the t-test over these shared seeds finds with a "
    "probability of 0.8, at the level that Holm's correction leaves to this comparison, if leads vary from seed to "
    "seed as observed. The number of shared seeds that would settle a comparison is the one with which the observed "
    "lead would be found with that probability{margin}. Both follow from a deviation that few seeds measure coarsely: "
    "with 3 seeds the true one lies between 0.5 and 6.3 times the observed one, with 10 between 0.7 and 1.8 times "
    "(95 %). P(best is better with another seed) is that of normally distributed leads, with the exact interval by "
    "the noncentral t distribution, without a correction for several comparisons."
)
WITHIN_MARGIN = (
    "A setting is equivalent within the margin if two one-sided t-tests over shared seeds, each at 5 %, show that its "
    "difference from the best lies within it on both sides, and not equivalent if a two-sided test shows that it lies "
    "outside; both after Holm's correction. Else it is undecided."
)
OVER_SAMPLES = (
    "The test over samples ({tests}) shows whether the trained networks differ on samples like these. It is done for "
    "each shared seed on the same samples. Its p-value is the largest over the seeds, or 1 if the seeds disagree about "
    "which is better, so a small value means better with each seed. It is corrected by Holm's method for all pairs. A "
    "setting that is worse with each seed, but not significantly over seeds, is called neither significantly worse nor "
    "as good as the best: more seeds are needed."
)
SELECTION = (
    "The best setting is chosen by the same scores that are compared, so its mean, its leads and the probability that "
    "it is better look larger than they are, the more so the more settings there are. The p-values account for that."
)
CRITICAL_DIFFERENCE = (
    "The mean rank of each setting over the data sets, the best on the left. A bar joins settings of which no two "
    "differ significantly, by Wilcoxon's signed-rank test of the means over seeds on each data set, after Holm's "
    "correction. The test takes the data sets for independent, which views of the same samples are not."
)
NOT_RANKED = (
    f"The settings are not ranked over the data sets: fewer than {FEWEST} of them were measured on all of them. "
    "A setting is the same on two data sets if its network is, and every other key that varies on one of them."
)
GroupResult = tuple[ComparisonGroup, Sequence[Comparison]]


def default_output(directory: Path) -> Path:
    """Return the directory of the report within that of a sweep or a run.

    Raises:
        UserError: if it is a link, which another person may have made.
    """
    output = directory / "report"
    for path in (output, output / "figures"):
        if path.is_symlink():
            raise UserError(f"{path} is a link to {path.resolve()}: remove it, or name that directory with --output")
    return output


def write_report(
    directories: Sequence[Path],
    output: Path,
    margin: float | None = None,
    *,
    budget: str | None = None,
    plan: bool = False,
) -> list[str]:
    """Find the runs below the directories, and write the report into `output`, in all formats.

    Args:
        directories: the directories.
        output: the directory of the report.
        margin: the difference in units of the shown main measure below which settings count as equivalent, if any.
        budget: the limits within which the best setting is named, see `rnnexp.report.budget`; None for none.
        plan: whether to return the plan of more seeds too.

    Returns:
        The answer, a line per ladder and group, lines about the budget, and the lines of the plan.

    Raises:
        UserError: if a directory holds no runs, the budget is no list of limits, the output cannot be written, or the
            groups compare several measures and a margin is given.
    """
    limits = parse_budget(budget) if budget is not None else []
    runs = find_runs(directories)
    groups, ungrouped = make_groups(runs)
    _require_one_unit(groups, margin)
    results = [(group, compare_with_best(group, margin)) for group in groups]
    ladders = find_ladders(groups)
    within = [" ".join(budget_lines(group, limits)) for group in groups if limits]
    try:
        output.mkdir(parents=True, exist_ok=True)
        root = directories[0]
        document = Document(
            f"Comparison of {root.resolve().name}",
            _note(runs, directories),
            [
                Section("Answer", _answers(results, ladders, output)),
                *([Section("Within the budget", [Paragraph(line) for line in within])] if within else []),
                *map(ladder_section, ladders),
                *_sections(results, output, root, margin),
                *([Section("Ungrouped runs", [ungrouped_table(ungrouped, root)])] if ungrouped else []),
                Section("Method", _method(results, margin)),
            ],
        )
        _write_results(results_csv(groups, ungrouped), output)
        write_text(output / "report.md", to_markdown(document))
        write_text(output / "report.tex", to_latex(document))
        write_text(output / "references.bib", references(bibliography(), cited_keys(document.sections)))
        write_text(output / "report.html", to_html(document))
    except OSError as error:
        raise UserError(f"cannot write the report into {output}: {error.strerror}; name another --output") from None
    planned = [line for result in results for line in plan_seeds(*result)] if plan else []
    return [*map(ladder_answer, ladders), *(answer(*result) for result in results), *within, *planned]


def _write_results(table: str, output: Path) -> None:
    """Write results.csv, and results.parquet where pyarrow is installed."""
    write_text(output / "results.csv", table)
    parquet = output / "results.parquet"
    if find_spec("pyarrow") is None:
        # That of an earlier report would have other results.
        parquet.unlink(missing_ok=True)
    else:
        write_bytes(parquet, results_parquet(table))


def _require_one_unit(groups: Sequence[ComparisonGroup], margin: float | None) -> None:
    measures = dict.fromkeys(group.main.title for group in groups)
    if margin is not None and len(measures) > 1:
        raise UserError(
            f"--margin={margin:g} is in units of one measure, and these runs are compared by "
            f"{'; '.join(measures)}: name directories with one of them"
        )


def _note(runs: Sequence[Run], directories: Sequence[Path]) -> str:
    statuses = ", ".join(f"{number} {status}" for status, number in Counter(run.status for run in runs).most_common())
    return (
        f"{len(runs)} run{'s' if len(runs) > 1 else ''}: {statuses}. From {', '.join(map(str, directories))}, "
        f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}."
    )


def _answers(results: Sequence[GroupResult], ladders: Sequence[Ladder], output: Path) -> list[Block]:
    """Return the answer and its figure, followed by what is known about the other settings."""
    figures = FigureWriter(output)
    blocks: list[Block | None] = []
    if ladders:
        # The groups of a ladder are its lengths, which its own figure has side by side.
        for number, ladder in enumerate(ladders, start=1):
            drawn = plot_ladder(ladder, FigureWriter(output, ladder.task, number if len(ladders) > 1 else None))
            blocks += [Paragraph(ladder_answer(ladder), is_lead=True), drawn]
        blocks += [Paragraph(answer(*result)) for result in results]
    else:
        parts = [sentences(*result) for result in results]
        blocks += [Paragraph(best, is_lead=True) for best, *_ in parts]
        blocks.append(figures.write(partial(answer_figure, results), "answer", answer_caption(results)))
        names = [f"{group.title}: " if len(results) > 1 else "" for group, _ in results]
        blocks += [
            Paragraph(name + " ".join(others)) for name, (_, *others) in zip(names, parts, strict=True) if others
        ]
    groups = [group for group, _ in results]
    return [block for block in (*blocks, _across_groups(groups), *_ranking(groups, ladders, figures)) if block]


def _ranking(groups: Sequence[ComparisonGroup], ladders: Sequence[Ladder], figures: FigureWriter) -> list[Block | None]:
    """Return the ranking of settings over data sets, with its figure; the lengths of one task are no data sets.

    If there are enough data sets, but not enough settings on all of them, a sentence says so.
    """
    rungs = {id(rung.setting) for ladder in ladders for line in ladder.lines.values() for rung in line}
    apart = [group for group in groups if not any(id(setting) in rungs for setting in group.settings)]
    rankings = rank_across(apart)
    blocks: list[Block | None] = []
    compared = Counter(group.main for group in apart if len(group.measured) >= FEWEST and not group.is_search)
    if not rankings and max(compared.values(), default=0) >= FEWEST:
        blocks.append(Paragraph(NOT_RANKED))
    for number, ranking in enumerate(rankings, start=1):
        name = f"critical_difference{f'_{number}' if number > 1 else ''}"
        figure = figures.write(partial(critical_difference, ranking), name, CRITICAL_DIFFERENCE)
        blocks += [Paragraph(ranking.describe()), figure]
    return blocks


def _method(results: Sequence[GroupResult], margin: float | None) -> list[Block]:
    """Return the explanation of the numbers, with the tests over samples that these tasks have."""
    tests = dict.fromkeys(name for _, comparisons in results if (name := sample_test_name(comparisons)))
    over_samples = [OVER_SAMPLES.format(tests="; ".join(tests))] if tests else []
    or_equivalence = ", or equivalence within the margin" if margin is not None else ""
    texts = [OVER_SEEDS, SENSITIVITY.format(margin=or_equivalence), *([WITHIN_MARGIN] if margin is not None else [])]
    return [Paragraph(text) for text in (*texts, *over_samples, SELECTION)]


def _sections(results: Sequence[GroupResult], output: Path, root: Path, margin: float | None) -> list[Section]:
    sections = []
    for number, (group, comparisons) in enumerate(results, start=1):
        figures = FigureWriter(output) if len(results) == 1 else FigureWriter(output, group.title, number)
        section = make_section(group, comparisons, figures, root, margin)
        more = {"Ensembles of seeds": _ensembles(group, output), "Search": search_blocks(group, figures)}
        added = [Section(name, blocks) for name, blocks in more.items() if blocks]
        sections.append(replace(section, sections=[*section.sections, *added]))
    return sections


def _ensembles(group: ComparisonGroup, output: Path) -> list[Block]:
    try:
        return ensemble_blocks(group, output)
    except Exception as error:
        return [left_out("the ensembles of seeds", error)]


def _across_groups(groups: Sequence[ComparisonGroup]) -> Table | None:
    """Return the scores of settings side by side over the groups; None if no setting is in several."""
    found: dict[str, dict[str, str]] = {}
    labels = labels_across(groups)
    for group in groups:
        for setting in group.measured:
            shown = f"{mean_and_deviation(setting, group.main)} [{interval(setting)}]".removesuffix(f" [{NOTHING}]")
            found.setdefault(labels[setting], {})[group.title] = shown
    if not any(len(row) > 1 for row in found.values()):
        return None
    titles = [group.title for group in groups]
    heads = [f"{group.title}: {group.main.title}, mean ± sd [95 % interval]" for group in groups]
    rows = [[label, *(row.get(title, NOTHING) for title in titles)] for label, row in found.items()]
    return Table(["setting", *heads], rows, frozenset(heads))
