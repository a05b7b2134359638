"""What a report says of one group."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from matplotlib.figure import Figure

from rnnexp.report.figures.agreement import agreement_figure
from rnnexp.report.figures.curves import learning_curves
from rnnexp.report.figures.disagreements import Disagreement, digits_figure, disagreements, images_of
from rnnexp.report.figures.effects import interactions, main_effects
from rnnexp.report.figures.gradient_flow import gradients_figure
from rnnexp.report.figures.style import save_picture
from rnnexp.report.figures.tradeoffs import tradeoffs
from rnnexp.report.records.groups import ComparisonGroup
from rnnexp.report.render.document import Block, Paragraph, Picture, Section, Table
from rnnexp.report.stats.ranking import EVEN, UNSURE, UNTESTED, WORSE, Comparison
from rnnexp.report.tables import (
    comparisons_table,
    interval,
    mean_and_deviation,
    published_table,
    results_table,
    unfinished_table,
)

MOST_LISTED = 5


def answer(group: ComparisonGroup, comparisons: Sequence[Comparison]) -> str:
    """The group in a few sentences."""
    if not comparisons:
        return f"{group.title}: no run has come to a result yet."
    best = comparisons[0].setting
    unit = f" {group.main.unit}" if group.main.unit else ""
    n = len(best.counted)
    spread = f", 95 % interval {interval(best)}, n = {n}" if n > 1 else ", a single seed"
    score = f"{group.main.label} {mean_and_deviation(best, group.main)}{unit}"
    parts = [f"{group.title}: best is {best.label} ({score}{spread})."]
    by_verdict = {
        verdict: [each.setting.label for each in comparisons if each.verdict == verdict]
        for verdict in (EVEN, WORSE, UNSURE, UNTESTED)
    }
    if by_verdict[EVEN]:
        first, more = by_verdict[EVEN][:MOST_LISTED], len(by_verdict[EVEN][MOST_LISTED:])
        parts.append(f"Not significantly worse: {'; '.join(first)}{f'; and {more} more' if more else ''}.")
    if by_verdict[WORSE]:
        parts.append(f"{_others(by_verdict[WORSE])} significantly worse.")
    if by_verdict[UNSURE]:
        parts.append(f"{_others(by_verdict[UNSURE])} worse with each shared seed, and the seeds too few to be sure.")
    if by_verdict[UNTESTED]:
        reasons = Counter(each.seeds.reason for each in comparisons if each.verdict == UNTESTED and each.seeds)
        why = "; ".join(f"{number}, {reason}" for reason, number in reasons.items())
        parts.append(f"Not tested: {why}.")
    return " ".join(parts)


def _others(labels: Sequence[str]) -> str:
    return f"{len(labels)} other{'s are' if len(labels) > 1 else ' is'}"


def section_of(
    group: ComparisonGroup, comparisons: Sequence[Comparison], output: Path, prefix: str, root: Path
) -> Section:
    """All that is known of a group; its figures are written below `output`.

    Args:
        prefix: of the figures' names.
        root: what the directories of runs are told relative to.
    """

    def picture(figure: Figure, name: str, caption: str) -> Picture:
        svg = save_picture(figure, output / "figures", f"{prefix}{name}")
        return Picture(f"figures/{prefix}{name}.png", svg, caption)

    sections = [Section("Results", [*_facts(group), results_table(group, comparisons)])]
    if len(comparisons) > 1:
        sections.append(Section("Against the best", [comparisons_table(group, comparisons)]))
    if unfinished := unfinished_table(group, root):
        sections.append(Section("Runs without a number", [unfinished]))
    pictures = [picture(figure, name, caption) for name, figure, caption in _figures(group)]
    if pictures:
        sections.append(Section("Figures", pictures))
    examples: list[Block] = []
    found = disagreements(group)
    if group.task == "classification":
        examples = list(_digits(found, picture))
    elif group.task == "translation":
        examples = [block for each in found for block in _sentences(each)]
    if examples:
        sections.append(Section("Where they differ", examples))
    if published := published_table(group):
        sections.append(Section("Beside published numbers", [published]))
    return Section(group.title, [], sections)


def _facts(group: ComparisonGroup) -> Iterator[Paragraph]:
    """What holds for the table as a whole."""
    if group.axes:
        yield Paragraph(f"The settings differ in {', '.join(axis.name for axis in group.axes)}.")
    if group.together:
        yield Paragraph(f"What changes exactly with one of these is no column: {'; '.join(group.together)}.")
    runs = [run for each in group.measured for run in each.counted.values()]
    for what, values in (("Code", [run.code for run in runs]), ("Device", [run.device for run in runs])):
        if values:
            usual, number = Counter(values).most_common(1)[0]
            yield Paragraph(f"{what}: {usual or 'unknown'} ({number} of {len(values)} runs).")
    signatures = dict.fromkeys(
        f"{name}: {signature}" for run in runs for name, signature in (run.result.get("signatures") or {}).items()
    )
    if signatures:
        yield Paragraph(f"Signatures: {', '.join(signatures)}.")


def _figures(group: ComparisonGroup) -> Iterator[tuple[str, Figure, str]]:
    """Name, figure and caption of what can be drawn."""
    drawings = (
        (
            "learning_curves",
            learning_curves,
            f"Validation {group.main.label} by epoch: the mean of the seeds that got there, and one standard "
            "deviation to both sides. The settings are named from the best on test downwards.",
        ),
        (
            "tradeoffs",
            tradeoffs,
            f"Test {group.main.label} against what it takes, with the 95 % interval over seeds. Nothing that was "
            "measured is better and cheaper than what lies on the Pareto front. Times compare on one device only.",
        ),
        (
            "main_effects",
            main_effects,
            "What each axis does: the mean over those settings of all other axes in which each of its values was "
            "measured, with the 95 % interval over seeds; the thin lines are these settings one by one.",
        ),
        (
            "interactions",
            interactions,
            "Two axes crossed, again with all others equal. Parallel lines: neither depends on the other.",
        ),
        (
            "agreement",
            agreement_figure,
            "The share of words that agree as they must, by the distance to what they agree with: the best "
            "setting of each cell, the mean over its seeds, with the 95 % interval over sentences where there "
            "are few lines.",
        ),
        (
            "gradients",
            gradients_figure,
            "How far back learning reaches: the gradient at each step of the sequence over that at its end, in the "
            "layer next to the input; the best setting of each cell, the geometric mean over its seeds. A line "
            "that falls to the left forgets: what stood there hardly changes the weights.",
        ),
    )
    for name, draw, caption in drawings:
        if figure := draw(group):
            yield name, figure, caption


def _digits(found: Sequence[Disagreement], picture: Callable[[Figure, str, str], Picture]) -> Iterator[Block]:
    """Images where they are at hand, else a table of their numbers."""
    by_pair: dict[frozenset[str], list[Disagreement]] = {}
    for each in found:
        by_pair.setdefault(frozenset({each.right.label, each.wrong.label}), []).append(each)
    for number, pair in enumerate(by_pair.values(), start=1):
        counts = ", ".join(f"{each.right.label} alone is right on {each.total:,} samples" for each in pair)
        caption = f"With seed {pair[0].seed} {counts}. These are the clearest over the seeds that both have."
        images = images_of(pair[0].right.counted[pair[0].seed])
        if images is not None:
            yield picture(digits_figure(pair, images), f"disagreements_{number}", caption)
            continue
        yield Paragraph(f"{caption} The images are not where the run's config says, so that here are their numbers.")
        rows = [
            [
                each.right.label,
                each.wrong.label,
                str(sample),
                each.answers[0].shown(sample),
                each.answers[1].shown(sample),
            ]
            for each in pair
            for sample in each.samples
        ]
        yield Table(["right", "wrong", "sample", "label", "wrong answer"], rows, frozenset({"sample"}))


def _sentences(each: Disagreement) -> Iterator[Block]:
    ours, theirs = each.answers
    yield Paragraph(
        f"{each.right.label} writes the reference and {each.wrong.label} does not in {each.total:,} sentences, "
        f"with seed {each.seed}; the clearest over the seeds that both have:"
    )
    rows = [
        [str(sample), ours.sources[sample], ours.references[sample], theirs.shown(sample)]  # type: ignore[union-attr]
        for sample in each.samples
    ]
    yield Table(
        ["sentence", "source", f"reference, and {each.right.label}", each.wrong.label], rows, frozenset({"sentence"})
    )
