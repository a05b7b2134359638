"""The section of a report about one group."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from pkgutil import resolve_name

from matplotlib.figure import Figure

from rnnexp.core.errors import first_line
from rnnexp.core.files.atomic import write_bytes
from rnnexp.plots.style import encode_figure
from rnnexp.report.exports import exports_table
from rnnexp.report.figures.disagreements import Disagreement, find_disagreements, images_figure
from rnnexp.report.figures.effects import interactions, main_effects
from rnnexp.report.figures.gradient_flow import gradient_flow_figure
from rnnexp.report.figures.learning_curves import learning_curves
from rnnexp.report.figures.points import PointFigure
from rnnexp.report.figures.tradeoffs import INFERENCE_COSTS, tradeoffs
from rnnexp.report.recipes import recipe_table
from rnnexp.report.records.answers import read_answers
from rnnexp.report.records.axes import first_of
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.records.images import DIGEST, images_of
from rnnexp.report.records.inference import facts as inference_facts
from rnnexp.report.records.origin import origin
from rnnexp.report.records.testsets import digest_of
from rnnexp.report.render.document import Block, FigureBlock, Paragraph, Point, Section, Table
from rnnexp.report.stats.ranking import EVEN, UNSURE, UNSURE_OF_ONE, UNTESTED, WORSE, Comparison
from rnnexp.report.stats.sensitivity import EQUIVALENT
from rnnexp.report.tables import (
    comparisons_table,
    costs_table,
    damaged_table,
    inference_table,
    interval,
    published_table,
    results_table,
    runs_table,
    score_text,
    sensitivity_table,
    smallest_lead,
    unfinished_table,
)
from rnnexp.tasks.answers import read_ids

log = logging.getLogger(__name__)

MOST_LISTED = 5
MOST_LETTERS = 60
"""The length of a title in the names of files."""
FIGURES: Sequence[tuple[str, Callable[[ComparisonGroup], Figure | None], str]] = (
    (
        "learning_curves",
        learning_curves,
        "Validation {curve} by epoch: the mean over the seeds that reached the epoch, and one standard deviation on "
        "both sides. The settings are listed by their {label}, the best first.",
    ),
    (
        "tradeoffs",
        tradeoffs,
        "The {label} against cost, with the 95 % interval over seeds. No measured setting is both better and cheaper "
        "than one on the Pareto front; a front of one setting is only its point. Small gray points are single seeds. "
        "Times compare only on the same device.",
    ),
    (
        "inference",
        partial(tradeoffs, costs=INFERENCE_COSTS),
        "The {label} against the cost of inference on one machine, with the 95 % interval over seeds: the 99th "
        "percentile of the latency of one sample, and the size of the weights.",
    ),
    (
        "main_effects",
        main_effects,
        "The effect of each axis: the mean over those settings of all other axes for which each of its values was "
        "measured, with the 95 % interval over seeds. Gray: the individual settings.",
    ),
    (
        "interactions",
        interactions,
        "The mean at each pair of values of two axes, with all other axes equal. If two series have the same distance "
        "at every value, the axes do not interact.",
    ),
    (
        "gradient_flow",
        gradient_flow_figure,
        "The norm of the gradient at each step of the sequence relative to its last step, in the first layer: the best "
        "setting of each cell, the geometric mean over its seeds. If a line decreases to the left, early steps have "
        "little effect on the weights. Ratios below 1e-12 are drawn at 1e-12.",
    ),
)
"""Name, function and caption of the figures.

`{label}` is the name of the measure by which the settings are ordered, `{curve}` that of the task.
"""


def answer(group: ComparisonGroup, comparisons: Sequence[Comparison]) -> str:
    """Return the result of a group in a few sentences."""
    return " ".join(sentences(group, comparisons))


def sentences(group: ComparisonGroup, comparisons: Sequence[Comparison]) -> list[str]:
    """Return the sentences of the answer: the best setting, and then what is known about the others."""
    if not comparisons:
        return [f"{group.title}: no run has a result yet."]
    best = comparisons[0].setting
    n = len(best.counted)
    spread = f", 95 % interval {interval(best)}, n = {n}" if n > 1 else ", a single seed"
    if group.is_search:
        spread += f"; test {score_text(best, group.kind.main)}"
    parts = [f"{group.title}: best is {best.label} ({score_text(best, group.main)}{spread})."]
    by_verdict = {
        verdict: [comparison.setting.label for comparison in comparisons if comparison.verdict == verdict]
        for verdict in (WORSE, UNSURE, UNSURE_OF_ONE, UNTESTED)
    }
    parts += _even_settings(group, comparisons)
    if by_verdict[WORSE]:
        parts.append(f"{_others(by_verdict[WORSE])} significantly worse.")
    if by_verdict[UNSURE]:
        parts.append(f"{_others(by_verdict[UNSURE])} worse with each shared seed, with too few seeds for certainty.")
    if by_verdict[UNSURE_OF_ONE]:
        parts.append(f"{_others(by_verdict[UNSURE_OF_ONE])} {UNSURE_OF_ONE}.")
    if by_verdict[UNTESTED]:
        untested = [
            f"{comparison.setting.label} ({comparison.seeds.reason})"
            for comparison in comparisons
            if comparison.verdict == UNTESTED and comparison.seeds
        ]
        parts.append(f"Not tested: {first_of(untested, MOST_LISTED)}.")
    return parts


def _even_settings(group: ComparisonGroup, comparisons: Sequence[Comparison]) -> Iterator[str]:
    """Yield sentences about the settings that are not significantly worse, with what their seeds could have shown."""
    even = [
        f"{comparison.setting.label} ({smallest_lead(comparison, group.main)} would show)"
        for comparison in comparisons
        if comparison.verdict == EVEN
    ]
    if even:
        yield f"Not significantly worse: {first_of(even, MOST_LISTED)}."
    equivalent = [
        comparison.setting.label
        for comparison in comparisons
        if comparison.sensitivity and comparison.sensitivity.equivalence == EQUIVALENT
    ]
    if equivalent:
        yield f"Equivalent to the best within the margin: {first_of(equivalent, MOST_LISTED)}."


def _others(labels: Sequence[str]) -> str:
    return f"{len(labels)} other{'s are' if len(labels) > 1 else ' is'}"


class FigureWriter:
    """A writer of the figures of a group, as PNG and SVG.

    Args:
        output: the directory of the report.
        title: what the names of the files begin with, such as the group's title, which a run directory may choose:
            only its letters from a to z and its digits are used.
        number: the number before the title, where several titles may be alike; None for none.
    """

    def __init__(self, output: Path, title: str = "", number: int | None = None) -> None:
        self._directory = output / "figures"
        slug = re.sub(r"[^a-z0-9]+", "-", title.lower())[:MOST_LETTERS].strip("-")
        self._prefix = "".join(f"{part}-" for part in (str(number or ""), slug) if part)

    def write(self, plot: Callable[[], Figure | None], name: str, caption: str) -> FigureBlock | Paragraph | None:
        """Plot a figure, write it, and return the block that shows it, or the reason why the plot failed.

        None if the plot returns None.

        Raises:
            OSError: if the files cannot be written.
        """
        try:
            figure = plot()
            if figure is None:
                return None
            svg, png = encode_figure(figure, "svg"), encode_figure(figure, "png")
            on_page, points = _for_page(figure) or (svg, [])
        except Exception as error:
            return left_out(f"figure {name}", error)
        self._directory.mkdir(parents=True, exist_ok=True)
        stem = f"{self._prefix}{name}"
        write_bytes(self._directory / f"{stem}.svg", svg)
        write_bytes(self._directory / f"{stem}.png", png)
        return FigureBlock(f"figures/{stem}.png", on_page, caption, points)


def _for_page(figure: Figure) -> tuple[bytes, Sequence[Point]] | None:
    """Return the SVG and the points of a figure that knows where its points are."""
    return (figure.encode_without_seeds(), figure.points()) if isinstance(figure, PointFigure) else None


def left_out(what: str, error: Exception) -> Paragraph:
    """Log an error and return a paragraph about it: the tables are worth more than one figure."""
    message = f"{what}: left out, because of {type(error).__name__}: {first_line(error)}"
    log.warning("%s", message)
    log.debug("%s: left out", what, exc_info=error)
    return Paragraph(message)


def make_section(
    group: ComparisonGroup,
    comparisons: Sequence[Comparison],
    figures: FigureWriter,
    root: Path,
    margin: float | None = None,
) -> Section:
    """Return the section of a group, and write its figures.

    Args:
        group: the group.
        comparisons: the comparisons of its settings with the best.
        figures: the writer of the figures.
        root: the directory to which the shown paths of runs are relative.
        margin: see `compare_with_best`.
    """
    label = group.main.label if group.is_search else f"test {group.main.label}"
    # The figures and the tests over samples have read the files before the table of damaged files is made.
    plotted = [
        figures.write(partial(plot, group), name, caption.format(label=label, curve=group.kind.main.label))
        for name, plot, caption in FIGURES
    ]
    shown = [block for block in (*plotted, *_figures_of_task(group, figures)) if block]
    examples = list(_examples(group, figures))
    optional: list[tuple[str, Sequence[Block | None]]] = [
        ("Common settings", [recipe_table(group)]),
        ("Against the best", _against_the_best(group, comparisons, margin)),
        ("Costs", [costs_table(group) if comparisons else None]),
        ("Inference", [*map(Paragraph, inference_facts(group.counted)), inference_table(group)]),
        ("Exports", [exports_table(group)]),
        ("Runs without a result", [unfinished_table(group, root)]),
        ("Files that could not be read", [damaged_table(group, root)]),
        ("Figures", shown),
        ("Samples with different answers", examples),
        ("Published numbers", [published_table(group)]),
    ]
    results = Section("Results", [*_facts(group), results_table(group, comparisons)])
    others = [Section(name, blocks) for name, found in optional if (blocks := [block for block in found if block])]
    runs = Section("Runs", [runs_table(group, root)], is_reference=True)
    return Section(group.title, [], [results, *others, runs])


def _against_the_best(
    group: ComparisonGroup, comparisons: Sequence[Comparison], margin: float | None
) -> list[Block | None]:
    # The trials of a search have one seed each, as a rule, so that none can be tested.
    if len(comparisons) < 2 or (
        group.is_search and all(each.seeds.num_seeds < 2 for each in comparisons if each.seeds)
    ):
        return []
    return [comparisons_table(group, comparisons), sensitivity_table(group, comparisons, margin)]


def _figures_of_task(group: ComparisonGroup, figures: FigureWriter) -> Iterator[Block | None]:
    """Yield the figures that only this task has: of the best setting of each cell."""
    if group.kind.report_figures is None:
        return
    runs = {label: list(setting.counted.values()) for label, setting in group.best_of_each_cell().items()}
    try:
        drawn = resolve_name(group.kind.report_figures)(runs, partial(read_answers, group.kind))
    except Exception as error:
        yield left_out("the figures of the task", error)
        return
    for name, (figure, caption) in drawn.items():
        yield figures.write(lambda figure=figure: figure, name, caption)  # type: ignore[misc]


def _facts(group: ComparisonGroup) -> Iterator[Paragraph]:
    """Yield paragraphs about all runs in the table of results."""
    if group.is_search:
        yield Paragraph(
            f"A search optimized {group.main.name}, so the settings are ordered and compared by it. The best of many "
            "trials looks better than it is by this number; the results on the test set stand beside it, and did not "
            "choose it."
        )
    if group.axes:
        yield Paragraph(f"The settings differ in {', '.join(axis.name for axis in group.axes)}.")
    if group.together:
        yield Paragraph(f"Keys that change exactly with one of these have no column: {'; '.join(group.together)}.")
    runs = group.counted
    yield from map(Paragraph, origin(group))
    if unknown := sum(not digest_of(run) for run in runs):
        yield Paragraph(
            f"{unknown} of {len(runs)} runs recorded no digest of their test set: only their configs show that they "
            "were tested on the same data."
        )
    signatures = dict.fromkeys(
        f"{name}: {signature}"
        for run in runs
        if isinstance(recorded := run.result.get("signatures"), Mapping)
        for name, signature in recorded.items()
    )
    if signatures:
        yield Paragraph(f"Signatures: {', '.join(signatures)}.")


def _examples(group: ComparisonGroup, figures: FigureWriter) -> Iterator[Block]:
    """Yield samples on which settings differ, as images if the runs were tested on images, or else as a table."""
    try:
        pairs = find_disagreements(group)
    except Exception as error:
        yield left_out("samples with different answers", error)
        return
    for number, pair in enumerate(pairs, start=1):
        counts = ", ".join(f"only {found.right.label} is right on {found.total:,} samples" for found in pair)
        caption = f"With seed {pair[0].seed} {counts}. The clearest of these over the shared seeds are shown."
        run = pair[0].right.counted[pair[0].seed]
        images = images_of(run) if run.text(DIGEST) else None
        if images is not None and len(images) >= len(pair[0].answers[0].right):
            if block := figures.write(partial(images_figure, pair, images), f"disagreements_{number}", caption):
                yield block
            continue
        if run.text(DIGEST):
            caption += " The images were not found below the run's data.root, so the table contains their numbers."
        yield Paragraph(caption)
        yield _table_of_examples(pair, read_ids(run))


def _table_of_examples(pair: Sequence[Disagreement], ids: Sequence[str]) -> Table:
    """Return a table of the samples, with their ids if they have them."""
    rows = []
    for found in pair:
        right, wrong = found.answers
        for sample in found.samples:
            described = right.describe(sample)
            name = ids[sample] if sample < len(ids) else str(sample)
            rows.append([found.right.label, found.wrong.label, name, *described.values(), wrong.show(sample)])
    columns = ["right", "wrong", "sample", *pair[0].answers[0].describe(pair[0].samples[0]), "wrong answer"]
    return Table(columns, rows, frozenset({"sample"}))
