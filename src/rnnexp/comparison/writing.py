"""A report from directories to files."""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from re import sub

from rnnexp.comparison.configurations import Contest, make_contests
from rnnexp.comparison.contest_section import answer, contest_section
from rnnexp.comparison.document import Block, Document, Paragraph, Section, Table
from rnnexp.comparison.markdown import as_markdown
from rnnexp.comparison.ranking import Comparison, compare_with_best
from rnnexp.comparison.results_file import results_csv
from rnnexp.comparison.runs import Run, find_runs
from rnnexp.comparison.tables import NOTHING, interval, lost_table, mean_and_deviation
from rnnexp.comparison.webpage import as_webpage
from rnnexp.errors import UserError
from rnnexp.files import write_text

METHOD = (
    "Runs that differ only in their seed are one configuration: mean ± standard deviation over its seeds, and the 95 % "
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
        The answer, a line per contest.

    Raises:
        UserError: for directories without runs, or an output that cannot be written.
    """
    runs = find_runs(directories)
    contests, lost = make_contests(runs)
    comparisons = [compare_with_best(contest) for contest in contests]
    try:
        output.mkdir(parents=True, exist_ok=True)
        document = _document(runs, contests, comparisons, lost, directories, output)
        write_text(output / "results.csv", results_csv(contests, lost))
        write_text(output / "report.md", as_markdown(document))
        write_text(output / "report.html", as_webpage(document))
    except OSError as error:
        raise UserError(f"cannot write the report into {output}: {error.strerror}; name another --output") from None
    return [answer(contest, its) for contest, its in zip(contests, comparisons, strict=True)]


def _document(
    runs: Sequence[Run],
    contests: Sequence[Contest],
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
    answers: list[Block] = [Paragraph(answer(contest, its)) for contest, its in zip(contests, comparisons, strict=True)]
    if across := _across(contests):
        answers.append(across)
    sections = [Section("Answer", answers)]
    root = directories[0]
    for number, (contest, its) in enumerate(zip(contests, comparisons, strict=True), start=1):
        slug = sub(r"[^a-z0-9]+", "-", contest.title.lower()).strip("-")
        prefix = "" if len(contests) == 1 else f"{number}-{slug}-"
        sections.append(contest_section(contest, its, output, prefix, root))
    if lost:
        sections.append(Section("Runs without a place", [lost_table(lost, root)]))
    sections.append(Section("How to read this", [Paragraph(text) for text in METHOD]))
    return Document(f"Comparison of {root.resolve().name}", note, sections)


def _across(contests: Sequence[Contest]) -> Table | None:
    """What was measured in several contests, side by side; None if nothing was."""
    found: dict[str, dict[str, str]] = {}
    for contest in contests:
        for each in contest.measured:
            shown = f"{mean_and_deviation(each, contest.main)} [{interval(each)}]".removesuffix(f" [{NOTHING}]")
            found.setdefault(each.label, {})[contest.title] = shown
    if not any(len(row) > 1 for row in found.values()):
        return None
    titles = [contest.title for contest in contests]
    heads = [f"{contest.title}: {contest.main.title}, mean ± sd [95 % interval]" for contest in contests]
    rows = [[label, *(row.get(title, NOTHING) for title in titles)] for label, row in found.items()]
    return Table(["configuration", *heads], rows, frozenset(heads))
