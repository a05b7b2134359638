"""The figures of a run, drawn from its directory, its task and its data."""

from pathlib import Path
from pkgutil import resolve_name
from typing import Any

from matplotlib.figure import Figure

from rnnexp.core.errors import left_out_on_error
from rnnexp.plots.style import save_figure
from rnnexp.plots.training import gradient_flow, learning_curves
from rnnexp.tasks.base import Task
from rnnexp.tasks.registry import LOSS
from rnnexp.tracking.run_directory import RunDirectory


def draw_figures(run: RunDirectory, task: Task, datamodule: Any) -> dict[str, Path]:  # noqa: ANN401 (of the task's batches)
    """Draw the figures for which the run has files: learning curves, those of the task, the gradient flow.

    A figure that fails is left out with a warning.

    Returns:
        The path of each PNG file, by the name of the figure.
    """
    paths: dict[str, Path] = {}
    for what, draw in (
        ("the learning curves", _learning_curves),
        ("the figures of the task", _task_figures),
        ("the gradient flow", _gradient_flow),
    ):
        with left_out_on_error(what):
            for name, figure in draw(run, task, datamodule).items():
                with left_out_on_error(f"figure {name}"):
                    save_figure(figure, run.figures / f"{name}.png")
                    paths[name] = run.figures / f"{name}.png"
    return paths


def _learning_curves(run: RunDirectory, task: Task, datamodule: Any) -> dict[str, Figure]:  # noqa: ANN401, ARG001
    if not run.metrics_file.exists():
        return {}
    kind = task.kind
    loss = next((measure for measure in kind.measures if measure.name == LOSS.name), LOSS)
    # Logged values are not scaled, so a unit belongs only to those that reports do not scale either.
    labels = {each.validation: each.title if each.scale == 1 else each.label for each in (loss, kind.main)}
    logarithmic = [loss.validation] if loss.lowest is not None and loss.lowest >= 0 else []
    return {"learning_curves": learning_curves(run.metrics_file, labels, logarithmic, run.path.name)}


def _task_figures(run: RunDirectory, task: Task, datamodule: Any) -> dict[str, Figure]:  # noqa: ANN401
    if task.kind.figures is None:
        return {}
    figures: dict[str, Figure] = resolve_name(task.kind.figures)(run, task, datamodule)
    return figures


def _gradient_flow(run: RunDirectory, task: Task, datamodule: Any) -> dict[str, Figure]:  # noqa: ANN401, ARG001
    if not run.gradient_flow_file.exists():
        return {}
    return {"gradient_flow": gradient_flow(run.gradient_flow_file, run.path.name)}
