"""The figures of a run, drawn from its directory and what was tested."""

from pathlib import Path
from typing import Any

from rnnexp.plots.runs import gradient_through_time, learning_curves, save_figure
from rnnexp.tasks.base import Task
from rnnexp.tasks.registry import load_function
from rnnexp.tracking.run_directory import RunDirectory


def draw_figures(run: RunDirectory, task: Task, datamodule: Any) -> dict[str, Path]:  # noqa: ANN401 (of the task's batches)
    """Draw what the run's files allow: learning curves, those of the task, the gradient flow. Return name -> PNG."""
    figures = {}
    if run.metrics_file.exists():
        main = task.kind.main
        figures["learning_curves"] = learning_curves(run.metrics_file, main.validation, main.label, run.path.name)
    if task.kind.figures is not None:
        figures |= load_function(task.kind.figures)(run, task, datamodule)
    if run.gradient_flow_file.exists():
        figures["gradient_through_time"] = gradient_through_time(run.gradient_flow_file, run.path.name)
    paths = {}
    for name, figure in figures.items():
        paths[name] = run.figures / f"{name}.png"
        save_figure(figure, paths[name])
    return paths
