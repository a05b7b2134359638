"""How far back the gradient of each cell reaches: what the memory probe of its runs has written, side by side."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnnexp.plots.runs import new_figure, read_gradient_norms
from rnnexp.report.figures.style import legend_beside, legend_inches, looks, tidy
from rnnexp.report.records.groups import ComparisonGroup, Setting

FLOOR = 1e-12
"""Below it a gradient counts as gone: the scale ends there."""
Curves = dict[str, NDArray[np.float64]]


def relative_norms(setting: Setting) -> Curves:
    """||dL/dh_t|| over ||dL/dh_T|| of the layer next to the input, by what it is after: the first epoch, and the last.

    Each [time], the geometric mean over the runs that count and have probed as many steps as the first of them. Empty
    if none has.
    """
    found: dict[str, list[NDArray[np.float64]]] = {}
    for run in setting.counted.values():
        try:
            epochs, norms = read_gradient_norms(run.files.gradient_flow_file)
        except (OSError, KeyError, TypeError, ValueError):
            continue
        for place, name in ((0, "after the first epoch"), (-1, "after the last epoch"))[: len(epochs)]:
            found.setdefault(name, []).append(norms[0, place])
    curves = {}
    for name, each in found.items():
        alike = np.stack([norms for norms in each if norms.shape == each[0].shape])
        with np.errstate(divide="ignore", invalid="ignore"):
            curves[name] = np.exp(np.log(np.maximum(alike / alike[:, -1:], FLOOR)).mean(axis=0))
    return curves


def gradients_figure(group: ComparisonGroup) -> Figure | None:
    """A line for the best setting of each cell; None if no run has probed."""
    curves = {label: its for label, each in group.best_of_each_cell().items() if (its := relative_norms(each))}
    if not curves:
        return None
    moments = list(dict.fromkeys(moment for its in curves.values() for moment in its))
    wide, high = legend_inches(list(curves))
    figure = new_figure(0.8 + 3.6 * len(moments) + wide, max(3.4, high + 0.4))
    panels = figure.subplots(1, len(moments), sharey=True, squeeze=False)[0]
    handles = {}
    for panel, moment in zip(panels, moments, strict=True):
        for place, (label, its) in enumerate(curves.items()):
            if moment in its:
                steps = range(1, len(its[moment]) + 1)
                (handles[label],) = panel.plot(steps, its[moment], color=looks(place)["color"], linewidth=1.6)
        panel.set_yscale("log")
        panel.set_title(moment, fontsize=9, loc="left")
        panel.set_xlabel("step t of the sequence")
        tidy(panel)
    panels[0].set_ylabel("‖∂L/∂h‖ at t over that at the end")
    legend_beside(figure, list(handles.values()), list(handles))
    return figure
