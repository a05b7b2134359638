"""Points of figures that a page shows with the names and commands of their runs."""

from collections.abc import Sequence
from typing import Any

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from rnnexp.plots.style import encode_figure
from rnnexp.report.records.groups import Setting
from rnnexp.report.records.runs import Run
from rnnexp.report.render.document import Point
from rnnexp.tasks.registry import Measure

SEED = "seed"
"""The group of the points of single seeds, which a page draws itself, so that it can hide them."""


class PointFigure(Figure):
    """A figure that knows where its points are. It has the layout of `rnnexp.plots.style.new_figure`.

    Args:
        width: the width, in inches.
        height: the height, in inches.
    """

    def __init__(self, width: float, height: float) -> None:
        super().__init__(figsize=(width, height), layout="constrained", dpi=120)
        self._marked: list[tuple[Axes, float, float, str, Sequence[Run], str]] = []

    def mark(self, axes: Axes, x: float, y: float, text: str, runs: Sequence[Run]) -> None:
        """Record a point that is drawn by other means.

        Args:
            axes: the panel.
            x: the coordinate in the data of the panel.
            y: likewise.
            text: what the point shows.
            runs: the runs behind it.
        """
        self._marked.append((axes, x, y, text, runs, ""))

    def add_seed(self, axes: Axes, x: float, y: float, text: str, run: Run, color: str) -> None:
        """Draw and record the point of a seed; the arguments are those of `mark`."""
        axes.plot(x, y, "o", color=color, markersize=3.5, alpha=0.6, markeredgewidth=0, zorder=2.5, gid=SEED)
        self._marked.append((axes, x, y, text, [run], color))

    def points(self) -> list[Point]:
        """Return the points where the last drawing has put them; those outside of their panel are left out."""
        width, height = self.bbox.size
        found = []
        for axes, x, y, text, runs, color in self._marked:
            place: Any = axes.transData.transform((x, y))
            if axes.bbox.padded(2).contains(*place):
                anchors = [run.anchor for run in runs]
                found.append(Point(place[0] / width, 1 - place[1] / height, text, anchors, color))
        return found

    def encode_without_seeds(self) -> bytes:
        """Return the SVG without the points of seeds."""
        seeds: list[Artist] = self.findobj(lambda artist: artist.get_gid() == SEED)
        for artist in seeds:
            artist.set_visible(False)
        try:
            return encode_figure(self, "svg")
        finally:
            for artist in seeds:
                artist.set_visible(True)


def mark_setting(figure: PointFigure, axes: Axes, setting: Setting, place: tuple[float, float], text: str) -> None:
    """Record the point of a setting, with all of its runs that count."""
    figure.mark(axes, *place, f"{setting.label}: {text}", list(setting.counted.values()))


def seed_text(setting: Setting, seed: str, measure: Measure, value: float) -> str:
    """Return the setting, the seed and the scaled value of a measure."""
    return f"{setting.label}, seed {seed}: {measure.label} {measure.show(value)} {measure.unit}".rstrip()
