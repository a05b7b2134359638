"""A report from directories to files."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from re import sub

from rnnexp.core.atomic_files import write_text
from rnnexp.core.errors import UserError
from rnnexp.report.records.groups import ComparisonGroup, make_groups
from rnnexp.report.records.results_csv import results_csv
from rnnexp.report.records.runs import Run, find_runs
from rnnexp.report.render.document import Block, Document, Paragraph, Section, Table
from rnnexp.report.render.html import as_webpage
from rnnexp.report.render.markdown import as_markdown
from rnnexp.report.section import answer, section_of
from rnnexp.report.stats.ranking import Comparison, compare_with_best
from rnnexp.report.tables import NOTHING, interval, lost_table, mean_and_deviation

METHOD = (
    "Runs that differ only in their seed are one setting: mean ± standard deviation over its seeds, and the 95 % "
    "interval of the mean by Student's t. The verdict against the best is that of a paired t-test over the seeds that "
    "both have, two-sided, at 5 %, after Holm's correction for the number of comparisons with the best.",
    "The test over samples asks another question: do the networks that were trained differ on sentences or images like "
    "these? It is McNemar's exact test for classes, and sacrebleu's paired bootstrap for BLEU, for each shared seed on "
    "the same samples. Of the seeds the largest p-value counts, and 1 if they disagree about who is better, so that a "
    "small one says: better with each seed. It is corrected by Holm as well. What is worse with each seed, but not "
    "significantly over seeds, is neither called significantly worse nor as good as the best: more seeds would tell.",
    "The best is chosen by the same numbers that it is compared on, so that a lead within its interval is not yet one.",
)


def write_report(directories: Sequence[Path], output: Path) -> list[str]:
    """Finds the runs below the directories, and writes report.html, report.md, results.csv and figures/ into `output`.

    Returns:
        The answer, a line per group.

    Raises:
        UserError: for directories without runs, or an output that cannot be written.
    """
    runs = find_runs(directories)
    groups, lost = make_groups(runs)
    comparisons = [compare_with_best(group) for group in groups]
    try:
        output.mkdir(parents=True, exist_ok=True)
        document = _document(runs, groups, comparisons, lost, directories, output)
        write_text(output / "results.csv", results_csv(groups, lost))
        write_text(output / "report.md", as_markdown(document))
        write_text(output / "report.html", as_webpage(document))
    except OSError as error:
        raise UserError(f"cannot write the report into {output}: {error.strerror}; name another --output") from None
    return [answer(group, its) for group, its in zip(groups, comparisons, strict=True)]


def _document(
    runs: Sequence[Run],
    groups: Sequence[ComparisonGroup],
    comparisons: Sequence[Sequence[Comparison]],
    lost: Sequence[Run],
    directories: Sequence[Path],
    output: Path,
) -> Document:
    states = ", ".join(f"{number} {status}" for status, number in Counter(run.status for run in runs).most_common())
    note = (
        f"{len(runs)} run{'s' if len(runs) > 1 else ''}: {states}. From {', '.join(map(str, directories))}, "
        f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}."
    )
    answers: list[Block] = [Paragraph(answer(group, its)) for group, its in zip(groups, comparisons, strict=True)]
    if across := _across(groups):
        answers.append(across)
    sections = [Section("Answer", answers)]
    root = directories[0]
    for number, (group, its) in enumerate(zip(groups, comparisons, strict=True), start=1):
        slug = sub(r"[^a-z0-9]+", "-", group.title.lower()).strip("-")
        prefix = "" if len(groups) == 1 else f"{number}-{slug}-"
        sections.append(section_of(group, its, output, prefix, root))
    if lost:
        sections.append(Section("Runs without a place", [lost_table(lost, root)]))
    sections.append(Section("How to read this", [Paragraph(text) for text in METHOD]))
    return Document(f"Comparison of {root.resolve().name}", note, sections)


def _across(groups: Sequence[ComparisonGroup]) -> Table | None:
    """What was measured in several groups, side by side; None if nothing was."""
    found: dict[str, dict[str, str]] = {}
    for group in groups:
        for each in group.measured:
            shown = f"{mean_and_deviation(each, group.main)} [{interval(each)}]".removesuffix(f" [{NOTHING}]")
            found.setdefault(each.label, {})[group.title] = shown
    if not any(len(row) > 1 for row in found.values()):
        return None
    titles = [group.title for group in groups]
    heads = [f"{group.title}: {group.main.title}, mean ± sd [95 % interval]" for group in groups]
    rows = [[label, *(row.get(title, NOTHING) for title in titles)] for label, row in found.items()]
    return Table(["setting", *heads], rows, frozenset(heads))
