"""Test samples that one setting gets right and another does not, and pictures of them."""

import gzip
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnnexp.core.errors import UserError
from rnnexp.plots.runs import INK, SECOND, new_figure
from rnnexp.report.figures.style import wrapped
from rnnexp.report.records.answers import READERS, Predictions, Translations
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.report.records.runs import Run

IMAGES = "t10k-images-idx3-ubyte"
MOST_PAIRS = 3
MOST_EXAMPLES = 10


@dataclass(frozen=True)
class Disagreement:
    """Two settings, and where they differ over the seeds that both have."""

    right: Setting
    wrong: Setting
    samples: Sequence[int]
    """that `right` answers rightly more often than `wrong`, the clearest first"""
    total: int
    """how many `right` answers rightly and `wrong` does not, with the seed that is shown"""
    seed: str
    """whose answers are shown"""
    answers: tuple[Predictions | Translations, Predictions | Translations]
    """of that seed, of `right` and of `wrong`"""


def pairs_to_show(group: ComparisonGroup) -> list[tuple[Setting, Setting]]:
    """The best against the best of every other cell; where all have one cell, against the next best."""
    best_ones = list(group.best_of_each_cell().values())
    others = best_ones[1:] or group.measured[1:2]
    return [(best_ones[0], other) for other in others[:MOST_PAIRS]]


def disagreements(group: ComparisonGroup) -> list[Disagreement]:
    """In both directions of each pair; what cannot be read or compared is left out, for the table of tests says why."""
    found = []
    for a, b in pairs_to_show(group) if group.task in READERS else ():
        found += [each for each in (_between(group, a, b), _between(group, b, a)) if each]
    return found


def _between(group: ComparisonGroup, right: Setting, wrong: Setting) -> Disagreement | None:
    read = READERS[group.task]
    lead: NDArray[np.int64] | None = None
    shown = None
    for seed in (seed for seed in right.counted if seed in wrong.counted):
        try:
            ours, theirs = read(right.counted[seed]), read(wrong.counted[seed])
        except UserError:
            continue
        if not ours.same_test(theirs):
            continue
        difference = ours.right.astype(np.int64) - theirs.right
        if lead is None:
            lead, shown = difference, (seed, ours, theirs)
        elif len(lead) == len(difference):
            lead = lead + difference
    if lead is None or shown is None:
        return None
    seed, ours, theirs = shown
    # What is shown must be so in the seed that is shown.
    alone = ours.right & ~theirs.right
    clear = np.flatnonzero(alone & (lead > 0))
    if not len(clear):
        return None
    order = clear[np.argsort(-lead[clear], kind="stable")]
    return Disagreement(right, wrong, order[:MOST_EXAMPLES].tolist(), int(alone.sum()), seed, (ours, theirs))


def images_of(run: Run) -> NDArray[np.uint8] | None:
    """The test images that the run was tested on, [samples, height, width]; None where they are not there any more.

    They are looked for below the data root of the run's config, and known by their SHA-256.
    """
    data = (run.config or {}).get("data", {})
    digest = run.result.get("data", {}).get(f"sha256/{IMAGES}")
    root, name = Path(str(data.get("root"))), str(data.get("name"))
    for directory in (root / name / "raw", root / name, root):
        for file in (directory / IMAGES, directory / f"{IMAGES}.gz"):
            try:
                content = gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes()
            except (OSError, EOFError):
                continue
            if hashlib.sha256(content).hexdigest() == digest:
                # The IDX header: 4 bytes of type, then the three sizes as big-endian 32-bit numbers.
                shape = np.frombuffer(content, dtype=">u4", count=3, offset=4)
                return np.frombuffer(content, dtype=np.uint8, offset=16).reshape(tuple(map(int, shape)))
    return None


def digits_figure(pair: Sequence[Disagreement], images: NDArray[np.uint8]) -> Figure:
    """A row of images for each direction; under every image its class, and what the wrong side took it for.

    Args:
        images: uint8 [samples, height, width], the whole test set.
    """
    figure = new_figure(0.92 * MOST_EXAMPLES, 1.45 * len(pair))
    parts = figure.subfigures(len(pair), 1, squeeze=False)[:, 0]
    for part, each in zip(parts, pair, strict=True):
        title = f"right: {each.right.label} – wrong: {each.wrong.label}"
        part.suptitle(wrapped(title, 100), fontsize=9, color=INK, x=0.01, ha="left", parse_math=False)
        grid = part.subplots(1, MOST_EXAMPLES, squeeze=False)[0]
        for axes in grid:
            axes.set_xticks([])
            axes.set_yticks([])
            axes.spines[:].set_visible(False)
        for axes, sample in zip(grid, each.samples, strict=False):
            answers, wrong = each.answers
            axes.imshow(images[sample], cmap="gray_r", vmin=0, vmax=255)
            label = answers.shown(sample)
            axes.set_xlabel(f"{label}, not {wrong.shown(sample)}", fontsize=8, color=SECOND, labelpad=3)
    return figure
