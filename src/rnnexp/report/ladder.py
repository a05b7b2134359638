"""The section of a report about a ladder: which length each setting solved."""

from functools import partial

from rnnexp.report.figures.ladder import ladder_figure
from rnnexp.report.records.ladders import Ladder, Rung
from rnnexp.report.render.document import FigureBlock, Paragraph, Section, Table
from rnnexp.report.section import FigureWriter
from rnnexp.report.stats.significance import summarize
from rnnexp.report.tables import NOTHING

CAPTION = (
    "Left: the {measure} of each seed over the length T, filled where the seed solved the task; a line joins the means "
    "({mean}). Right: the norm of the gradient at the first step relative to that at the last, in the first layer. A "
    "setting whose gradient does not reach the first step cannot learn what happened there."
)


def ladder_answer(ladder: Ladder) -> str:
    """Return the largest length that each setting solved, with how many of its seeds, in a sentence."""
    parts = []
    for label in ladder.ranking:
        rung = ladder.highest(label)
        parts.append(f"{label} {'none' if rung is None else f'T = {rung.length} ({_seeds(rung)})'}")
    return f"{ladder.task}: the largest T solved by {'; '.join(parts)}."


def ladder_section(ladder: Ladder) -> Section:
    """Return the section with the table of scores."""
    return Section(f"Ladder of {ladder.task}", [Paragraph(_rule(ladder)), ladder_table(ladder)])


def plot_ladder(ladder: Ladder, figures: FigureWriter) -> FigureBlock | Paragraph | None:
    """Write the figure and return its block, or the reason why the plot failed."""
    caption = CAPTION.format(
        measure=f"test {ladder.measure.label}",
        mean="arithmetic" if ladder.measure.higher_is_better else "geometric",
    )
    return figures.write(partial(ladder_figure, ladder), "ladder", caption)


def ladder_table(ladder: Ladder) -> Table:
    """Return the scores by length, a row per setting, the one that solved the largest length first."""
    heads = [f"T = {length}" for length in ladder.thresholds]
    rows = []
    for label in ladder.ranking:
        by_length = {rung.length: rung for rung in ladder.lines[label]}
        highest = ladder.highest(label)
        rows.append(
            [
                label,
                "none" if highest is None else f"{highest.length} ({_seeds(highest)})",
                *(_cell(by_length[length]) if length in by_length else NOTHING for length in ladder.thresholds),
            ]
        )
    return Table(["setting", "largest T solved", *heads], rows, frozenset(heads))


def _rule(ladder: Ladder) -> str:
    than = "at least" if ladder.measure.higher_is_better else "at most"
    values = ladder.thresholds
    unit = f" {ladder.measure.unit}" if ladder.measure.unit else ""
    shown = "; ".join(f"{value:.4g}{unit} at T = {length}" for length, value in values.items())
    limit = f"{next(iter(values.values())):.4g}{unit}" if len(set(values.values())) == 1 else shown
    return (
        f"A seed solved the task if its test {ladder.measure.label} is {than} {limit}. The cells show the mean over "
        "seeds, and how many of them solved the task."
    )


def _cell(rung: Rung) -> str:
    return f"{summarize(rung.values).mean:.4g}, {rung.num_solved} of {len(rung.values)}"


def _seeds(rung: Rung) -> str:
    number = len(rung.values)
    return f"{rung.num_solved} of {number} seed{'s' if number > 1 else ''}"
