"""Test samples that one setting answers rightly and another does not, and a figure of such images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnnexp.core.errors import UserError
from rnnexp.plots.style import INK, SECOND, new_figure, wrapped
from rnnexp.report.records.answers import Answers, read_answers
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.tasks.registry import TaskKind

MOST_PAIRS = 3
MOST_EXAMPLES = 10


@dataclass(frozen=True)
class Disagreement:
    """The samples on which one setting is right and another wrong, over the seeds that both have.

    Args:
        right: the setting that is right.
        wrong: the setting that is wrong.
        samples: the shown samples, those first on which `right` is right with the most seeds more than `wrong`.
        total: the number of samples that `right` alone has right, with the seed that is shown.
        seed: the seed whose answers are shown.
        answers: the answers of `right` and of `wrong`, with that seed.
    """

    right: Setting
    wrong: Setting
    samples: Sequence[int]
    total: int
    seed: str
    answers: tuple[Answers, Answers]


def pairs_to_show(group: ComparisonGroup) -> list[tuple[Setting, Setting]]:
    """Return the best with the best of every other cell; if there is one cell, with the next best."""
    best_ones = list(group.best_of_each_cell().values())
    if not best_ones:
        return []
    best, *others = best_ones
    return [(best, other) for other in (others or group.measured[1:2])[:MOST_PAIRS]]


def find_disagreements(group: ComparisonGroup) -> list[list[Disagreement]]:
    """Return for each pair to show its disagreements, one for each direction.

    Answers that cannot be read or compared are left out: the table of tests gives the reason.
    """
    if group.kind.answers is None:
        return []
    pairs = [
        [found for found in (_disagreement(group.kind, a, b), _disagreement(group.kind, b, a)) if found is not None]
        for a, b in pairs_to_show(group)
    ]
    return [pair for pair in pairs if pair]


def _disagreement(kind: TaskKind, right: Setting, wrong: Setting) -> Disagreement | None:
    by_seed = _comparable_answers(kind, right, wrong)
    if not by_seed:
        return None
    seed, (ours, theirs) = next(iter(by_seed.items()))
    lead = np.zeros(len(ours.right), dtype=np.int64)
    for a, b in by_seed.values():
        if len(a.right) == len(lead):
            lead += a.right.astype(np.int64) - b.right
    alone = ours.right & ~theirs.right
    clear = np.flatnonzero(alone & (lead > 0))
    if not len(clear):
        return None
    order = clear[np.argsort(-lead[clear], kind="stable")]
    return Disagreement(right, wrong, order[:MOST_EXAMPLES].tolist(), int(alone.sum()), seed, (ours, theirs))


def _comparable_answers(kind: TaskKind, right: Setting, wrong: Setting) -> dict[str, tuple[Answers, Answers]]:
    """Return the answers of both settings by shared seed, where both were read and are about the same samples."""
    found = {}
    for seed in (seed for seed in right.counted if seed in wrong.counted):
        try:
            ours, theirs = read_answers(kind, right.counted[seed]), read_answers(kind, wrong.counted[seed])
        except UserError:
            continue
        if ours.same_samples(theirs):
            found[seed] = ours, theirs
    return found


def images_figure(pair: Sequence[Disagreement], images: NDArray[np.uint8]) -> Figure:
    """Show a row of images for each direction; below each image what the right side and the wrong side answered.

    Args:
        pair: the disagreements of two settings.
        images: uint8 [samples, height, width], the whole test set.
    """
    figure = new_figure(0.92 * MOST_EXAMPLES, 1.45 * len(pair))
    rows = figure.subfigures(len(pair), 1, squeeze=False)[:, 0]
    for row, disagreement in zip(rows, pair, strict=True):
        title = f"right: {disagreement.right.label} – wrong: {disagreement.wrong.label}"
        row.suptitle(wrapped(title, 100), fontsize=9, color=INK, x=0.01, ha="left", parse_math=False)
        grid = row.subplots(1, MOST_EXAMPLES, squeeze=False)[0]
        for axes in grid:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        for axes, sample in zip(grid, disagreement.samples, strict=False):
            right, wrong = disagreement.answers
            axes.imshow(images[sample], cmap="gray_r", vmin=0, vmax=255)
            answers = f"{right.show(sample)}, not {wrong.show(sample)}"
            axes.set_xlabel(answers, fontsize=8, color=SECOND, labelpad=3)
    return figure
