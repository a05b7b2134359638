"""The figure of gradient flow: the norm of the gradient over time, for each cell."""

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from rnnexp.core.errors import UserError
from rnnexp.plots.style import legend_beside, legend_inches, line_style, new_figure, style_axes
from rnnexp.report.records.groups import ComparisonGroup, Setting
from rnnexp.tracking.gradient_flow_file import read_gradient_norms

SMALLEST = 1e-12
"""The lower bound of shown ratios."""
Curves = dict[str, NDArray[np.float64]]


def relative_norms(setting: Setting) -> Curves:
    """Return ||dL/dh_t|| / ||dL/dh_T|| of the layer next to the input, after the first epoch and after the last.

    Each is float64 [time], the geometric mean over the runs that count and recorded as many steps as the first of them.
    The result is empty if no run recorded its gradient flow.
    """
    found: dict[str, list[NDArray[np.float64]]] = {}
    for run in setting.counted.values():
        try:
            epochs, norms = read_gradient_norms(run.files.gradient_flow_file)
        except FileNotFoundError:
            continue
        except (OSError, UserError) as error:
            run.add_damage(str(error))
            continue
        for place, name in ((0, "after the first epoch"), (-1, "after the last epoch"))[: len(epochs)]:
            found.setdefault(name, []).append(norms[0, place])
    curves = {}
    for name, recorded in found.items():
        alike = np.stack([norms for norms in recorded if norms.shape == recorded[0].shape])
        with np.errstate(divide="ignore", invalid="ignore"):
            curves[name] = np.exp(np.log(np.maximum(alike / alike[:, -1:], SMALLEST)).mean(axis=0))
    return curves


def gradient_flow_figure(group: ComparisonGroup) -> Figure | None:
    """Plot a line for the best setting of each cell; None if no run recorded its gradient flow."""
    best = group.best_of_each_cell()
    curves = {label: norms for label, setting in best.items() if (norms := relative_norms(setting))}
    if not curves:
        return None
    moments = list(dict.fromkeys(moment for norms in curves.values() for moment in norms))
    wide, high = legend_inches(list(curves))
    figure = new_figure(0.8 + 3.6 * len(moments) + wide, max(3.4, high + 0.4))
    panels = figure.subplots(1, len(moments), sharey=True, squeeze=False)[0]
    handles = {}
    for panel, moment in zip(panels, moments, strict=True):
        for place, (label, norms) in enumerate(curves.items()):
            if moment in norms:
                steps = range(1, len(norms[moment]) + 1)
                (handles[label],) = panel.plot(steps, norms[moment], color=line_style(place)["color"], linewidth=1.6)
        panel.set_yscale("log")
        panel.set_title(moment, fontsize=9, loc="left")
        panel.set_xlabel("step t of the sequence")
        style_axes(panel)
    panels[0].set_ylabel("‖∂L/∂h‖ at t over that at the end")
    legend_beside(figure, list(handles.values()), list(handles))
    return figure
