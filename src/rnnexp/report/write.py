"""Write the report of some directories."""

import re
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from functools import partial
from pathlib import Path

from rnnexp.core.errors import UserError
from rnnexp.core.files.atomic import write_text
from rnnexp.report.figures.answer import answer_caption, answer_figure
from rnnexp.report.ladder import ladder_answer, ladder_section, plot_ladder
from rnnexp.report.records.groups import ComparisonGroup, make_groups
from rnnexp.report.records.ladders import Ladder, find_ladders
from rnnexp.report.records.runs import Run, find_runs
from rnnexp.report.render.document import Block, Document, Paragraph, Section, Table
from rnnexp.report.render.html import to_html
from rnnexp.report.render.markdown import to_markdown
from rnnexp.report.render.results_csv import results_csv
from rnnexp.report.section import FigureWriter, answer, make_section, sentences
from rnnexp.report.stats.ranking import Comparison, compare_with_best, sample_test_name
from rnnexp.report.tables import NOTHING, interval, mean_and_deviation, ungrouped_table

OVER_SEEDS = (
    "Runs that differ only in their seed are one setting: mean ± standard deviation over its seeds, and the 95 % "
    "interval of the mean by Student's t. The verdict against the best comes from a paired t-test over the seeds that "
    "both have, two-sided, at 5 %, after Holm's correction for the number of comparisons with the best."
)
OVER_SAMPLES = (
    "The test over samples ({tests}) shows whether the trained networks differ on samples like these. It is done for "
    "each shared seed on the same samples. Its p-value is the largest over the seeds, or 1 if the seeds disagree about "
    "which is better, so a small value means better with each seed. It is corrected by Holm's method as well. A "
    "setting that is worse with each seed, but not significantly over seeds, is called neither significantly worse nor "
    "as good as the best: more seeds are needed."
)
SELECTION = (
    "The best setting is chosen by the same scores that are compared, so a lead within its interval is not evidence."
)
MOST_LETTERS = 60
"""The length of a group's title in the names of files."""
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


def write_report(directories: Sequence[Path], output: Path) -> list[str]:
    """Find the runs below the directories, and write report.html, report.md, results.csv and figures/ into `output`.

    Returns:
        The answer, a line per ladder and group.

    Raises:
        UserError: if a directory holds no runs, or the output cannot be written.
    """
    runs = find_runs(directories)
    groups, ungrouped = make_groups(runs)
    results = [(group, compare_with_best(group)) for group in groups]
    ladders = find_ladders(groups)
    try:
        output.mkdir(parents=True, exist_ok=True)
        root = directories[0]
        document = Document(
            f"Comparison of {root.resolve().name}",
            _note(runs, directories),
            [
                Section("Answer", _answers(results, ladders, output)),
                *map(ladder_section, ladders),
                *_sections(results, output, root),
                *([Section("Ungrouped runs", [ungrouped_table(ungrouped, root)])] if ungrouped else []),
                Section("Method", _method(results)),
            ],
        )
        write_text(output / "results.csv", results_csv(groups, ungrouped))
        write_text(output / "report.md", to_markdown(document))
        write_text(output / "report.html", to_html(document))
    except OSError as error:
        raise UserError(f"cannot write the report into {output}: {error.strerror}; name another --output") from None
    return [*map(ladder_answer, ladders), *(answer(group, comparisons) for group, comparisons in results)]


def _note(runs: Sequence[Run], directories: Sequence[Path]) -> str:
    statuses = ", ".join(f"{number} {status}" for status, number in Counter(run.status for run in runs).most_common())
    return (
        f"{len(runs)} run{'s' if len(runs) > 1 else ''}: {statuses}. From {', '.join(map(str, directories))}, "
        f"{datetime.now().astimezone():%Y-%m-%d %H:%M %Z}."
    )


def _answers(results: Sequence[GroupResult], ladders: Sequence[Ladder], output: Path) -> list[Block]:
    """Return the answer and its figure, followed by what is known about the other settings."""
    if ladders:
        # The groups of a ladder are its lengths, which its own figure has side by side.
        blocks: list[Block | None] = []
        for ladder in ladders:
            blocks += [Paragraph(ladder_answer(ladder), is_lead=True), plot_ladder(ladder, output)]
        blocks += [Paragraph(answer(*result)) for result in results]
    else:
        parts = [sentences(*result) for result in results]
        figure = FigureWriter(output, "").write(partial(answer_figure, results), "answer", answer_caption(results))
        blocks = [*(Paragraph(best, is_lead=True) for best, *_ in parts), figure]
        names = [f"{group.title}: " if len(results) > 1 else "" for group, _ in results]
        blocks += [
            Paragraph(name + " ".join(others)) for name, (_, *others) in zip(names, parts, strict=True) if others
        ]
    blocks.append(_across_groups([group for group, _ in results]))
    return [block for block in blocks if block]


def _method(results: Sequence[GroupResult]) -> list[Block]:
    """Return the explanation of the numbers, with the tests over samples that these tasks have."""
    tests = dict.fromkeys(name for _, comparisons in results if (name := sample_test_name(comparisons)))
    over_samples = [OVER_SAMPLES.format(tests="; ".join(tests))] if tests else []
    return [Paragraph(text) for text in (OVER_SEEDS, *over_samples, SELECTION)]


def _sections(results: Sequence[GroupResult], output: Path, root: Path) -> list[Section]:
    sections = []
    for number, (group, comparisons) in enumerate(results, start=1):
        slug = re.sub(r"[^a-z0-9]+", "-", group.title.lower())[:MOST_LETTERS].strip("-")
        prefix = "" if len(results) == 1 else f"{number}-{slug}-"
        sections.append(make_section(group, comparisons, FigureWriter(output, prefix), root))
    return sections


def _across_groups(groups: Sequence[ComparisonGroup]) -> Table | None:
    """Return the scores of settings side by side over the groups; None if no setting is in several."""
    found: dict[str, dict[str, str]] = {}
    for group in groups:
        for setting in group.measured:
            shown = f"{mean_and_deviation(setting, group.main)} [{interval(setting)}]".removesuffix(f" [{NOTHING}]")
            found.setdefault(setting.label, {})[group.title] = shown
    if not any(len(row) > 1 for row in found.values()):
        return None
    titles = [group.title for group in groups]
    heads = [f"{group.title}: {group.main.title}, mean ± sd [95 % interval]" for group in groups]
    rows = [[label, *(row.get(title, NOTHING) for title in titles)] for label, row in found.items()]
    return Table(["setting", *heads], rows, frozenset(heads))
