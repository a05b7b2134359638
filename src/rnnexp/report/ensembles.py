"""The ensembles of the seeds of a setting, from the recorded answers of its runs."""

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from rnnexp.core.errors import UserError, first_line
from rnnexp.core.files.bounded import read_bounded_text
from rnnexp.report.records.answers import read_answers
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.records.runs import Run
from rnnexp.report.render.document import Block, Paragraph, Table
from rnnexp.report.stats.significance import summarize
from rnnexp.report.tables import NOTHING, mean_and_deviation, unit_of_differences
from rnnexp.tasks.answers import Answers
from rnnexp.tasks.registry import Measure
from rnnexp.tracking.translations_file import MOST_BYTES

MOST_SETTINGS = 12
"""The number of settings whose ensembles are shown, the best first."""


def ensemble_blocks(group: ComparisonGroup, output: Path) -> list[Block]:
    """Return a table with a row for the ensemble of the seeds of each setting, and how to make those that are missing.

    Args:
        group: the group.
        output: the directory of the report, in which the answers of ensembles are looked for.
    """
    rows, commands, how = [], [], ""
    for setting in [] if group.is_search else group.measured[:MOST_SETTINGS]:
        members = list(_members(group, setting))
        if len(members) < 2:
            continue
        ensemble, command = _ensemble(members, output)
        how = members[0][1].combination
        if ensemble is not None:
            rows.append(_row(group, setting, members, ensemble))
        elif command:
            commands.append(Paragraph(f"{setting.label}: {command}"))
    columns = ["setting", "seeds", f"{group.main.title}, mean ± sd of single runs", "ensemble", "gain", "95 % interval"]
    blocks: list[Block] = []
    if rows:
        text = f"The runs {how}. The interval is that of the gain over samples, for these trained networks."
        blocks = [Paragraph(text), Table(columns, rows, frozenset(columns[1:]))]
    if commands:
        blocks += [Paragraph("These commands run the seeds of a setting together; the next report has their rows.")]
    return [*blocks, *commands]


def _members(group: ComparisonGroup, setting: Setting) -> Iterator[tuple[Run, Answers]]:
    """Yield the runs of a setting whose answers can be read and are about the same samples, with these answers."""
    first: Answers | None = None
    for run in setting.counted.values():
        try:
            answers: Answers = read_answers(group.kind, run)
        except UserError:
            # It is in the table of files that could not be read.
            continue
        first = first or answers
        if first.same_samples(answers):
            yield run, answers


def _ensemble(members: Sequence[tuple[Run, Answers]], output: Path) -> tuple[Answers | None, str | None]:
    """Return the answers of the ensemble of some runs, or else the command that writes them, if there is one."""
    first, *others = (answers for _, answers in members)
    if (combined := first.combined(others)) is not None:
        return combined, None
    runs = [run for run, _ in members]
    # Runs of two settings may have the same names, and a run may be trained again in its place.
    identities = "\n".join(f"{run.path.name} {run.config_hash} {run.since}" for run in runs)
    digest = hashlib.sha256(identities.encode("utf-8", "surrogatepass")).hexdigest()
    file = output / f"ensemble-{digest[:12]}.txt"
    if file.is_file():
        try:
            return first.answered(read_bounded_text(file, MOST_BYTES).split("\n")[:-1]), None
        except (OSError, ValueError, UserError) as error:
            runs[0].add_damage(f"{file}: {first_line(error)}: delete it")
    return None, first.ensemble_command(runs, file.absolute())


def _row(
    group: ComparisonGroup, setting: Setting, members: Sequence[tuple[Run, Answers]], ensemble: Answers
) -> list[str]:
    """Return the cells of an ensemble, by the main measure if it follows from the answers."""
    found = ensemble.measures
    measure = next((each for each in group.measures if each.name in found), None)
    if measure is None:
        return [setting.label, str(len(members)), NOTHING, NOTHING, NOTHING, NOTHING]
    value = measure.scale * found[measure.name]
    # Of the seeds whose answers can be read.
    answers = [each for _, each in members]
    together = replace(setting, runs=[run for run, _ in members])
    gain = value - summarize(list(together.by_seed(measure).values())).mean
    sign = "+" if gain > 0 else ""
    return [
        setting.label,
        str(len(members)),
        mean_and_deviation(together, measure),
        measure.show(value),
        f"{sign}{measure.show(gain)} {unit_of_differences(measure)}",
        _interval_of_gain(measure, answers, ensemble) if measure.name == ensemble.metric else NOTHING,
    ]


def _interval_of_gain(measure: Measure, members: Sequence[Answers], ensemble: Answers) -> str:
    """Return the 95 % interval over samples of the gain, if the measure is the mean of right answers."""
    if ensemble.scores.dtype != bool:
        return NOTHING
    gains = ensemble.scores - np.mean([member.scores for member in members], axis=0)
    half_width = summarize(gains.tolist()).half_width or 0.0
    low, high = (measure.scale * (float(gains.mean()) + side * half_width) for side in (-1, 1))
    return f"{measure.show(low)} to {measure.show(high)}"
