"""Test samples that one setting answers correctly and another does not, and a figure of such images."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnnexp.core.errors import UserError
from rnnexp.plots.style import INK, SECOND, new_figure, wrapped
from rnnexp.report.records.answers import read_answers
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.tasks.answers import GradedAnswers
from rnnexp.tasks.registry import TaskKind

MOST_PAIRS = 3
MOST_EXAMPLES = 10


@dataclass(frozen=True)
class Disagreement:
    """The samples on which one setting is right and another wrong, over the seeds that both have.

    Args:
        right: the setting that is right.
        wrong: the setting that is wrong.
        samples: the shown samples, ordered by the lead of `right` over `wrong` in the number of seeds, largest first.
        total: the number of samples that only `right` has right, with the shown seed.
        seed: the seed whose answers are shown.
        answers: the answers of `right` and of `wrong`, with that seed.
    """

    right: Setting
    wrong: Setting
    samples: Sequence[int]
    total: int
    seed: str
    answers: tuple[GradedAnswers, GradedAnswers]


def pairs_to_show(group: ComparisonGroup) -> list[tuple[Setting, Setting]]:
    """Return pairs of the best setting and the best of every other cell; of the best two if there is one cell."""
    by_cell = list(group.best_of_each_cell().values())
    if not by_cell:
        return []
    best, *others = by_cell
    return [(best, other) for other in (others or group.measured[1:2])[:MOST_PAIRS]]


def find_disagreements(group: ComparisonGroup) -> list[list[Disagreement]]:
    """Return the disagreements of each pair to show, one for each direction.

    Answers that are neither right nor wrong, and those that cannot be read or compared, are left out; the table of
    tests gives the reason.
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
    seed, shown = next(iter(by_seed.items()))
    lead = np.zeros(len(shown[0].right), dtype=np.int64)
    for a, b in by_seed.values():
        if len(a.right) == len(lead):
            lead += a.right.astype(np.int64) - b.right
    only_right = shown[0].right & ~shown[1].right
    candidates = np.flatnonzero(only_right & (lead > 0))
    if not len(candidates):
        return None
    order = candidates[np.argsort(-lead[candidates], kind="stable")]
    return Disagreement(right, wrong, order[:MOST_EXAMPLES].tolist(), int(only_right.sum()), seed, shown)


def _comparable_answers(
    kind: TaskKind, right: Setting, wrong: Setting
) -> dict[str, tuple[GradedAnswers, GradedAnswers]]:
    """Return the answers of both settings by shared seed, if both can be read and are about the same samples."""
    found = {}
    for seed in (seed for seed in right.counted if seed in wrong.counted):
        try:
            of_right, of_wrong = read_answers(kind, right.counted[seed]), read_answers(kind, wrong.counted[seed])
        except UserError:
            continue
        if isinstance(of_right, GradedAnswers) and of_right.same_samples(of_wrong):
            found[seed] = of_right, of_wrong
    return found


def images_figure(pair: Sequence[Disagreement], images: NDArray[np.uint8]) -> Figure:
    """Show a row of images for each direction, with the right and the wrong answer below each image.

    Args:
        pair: the disagreements of two settings.
        images: uint8 [samples, height, width], the whole test set.
    """
    figure = new_figure(0.92 * MOST_EXAMPLES, 1.45 * len(pair))
    rows = figure.subfigures(len(pair), 1, squeeze=False)[:, 0]
    for row, disagreement in zip(rows, pair, strict=True):
        title = f"right: {disagreement.right.label}; wrong: {disagreement.wrong.label}"
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
