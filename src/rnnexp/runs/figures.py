"""The pictures of a run, drawn from its directory and what was tested."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from matplotlib.figure import Figure

from rnnexp.data.batches import LabelledSequences, TranslationBatch
from rnnexp.plots.runs import confident_mistakes, confusion_matrix, gradient_through_time, learning_curves, save_figure
from rnnexp.tasks.base import Task
from rnnexp.tracking.run_directory import RunDirectory

Figures = dict[str, Figure]


def draw_figures(run: RunDirectory, task: Task, datamodule: Any) -> dict[str, Path]:  # noqa: ANN401 (of the task's batches)
    """Draws what the run's files allow. Returns name -> PNG."""
    figures = DRAWINGS[task.batch_type](run, task, datamodule)
    if run.gradient_flow_file.exists():
        figures["gradient_through_time"] = gradient_through_time(run.gradient_flow_file, run.path.name)
    paths = {}
    for name, figure in figures.items():
        paths[name] = run.figures / f"{name}.png"
        save_figure(figure, paths[name])
    return paths


def draw_classification(run: RunDirectory, task: Task, datamodule: Any) -> Figures:  # noqa: ANN401, ARG001
    """Learning curves, the confusion matrix and the most confident mistakes."""
    title = run.path.name
    figures = {}
    if run.metrics_file.exists():
        figures["learning_curves"] = learning_curves(run.metrics_file, "train/loss", "val/loss", "acc", title)
    if run.predictions_file.exists():
        predictions = torch.load(run.predictions_file, weights_only=True)
        labels, predicted, confidence = (predictions[key].numpy() for key in ("labels", "predicted", "confidence"))
        figures["confusion_matrix"] = confusion_matrix(labels, predicted, datamodule.num_classes, title)
        images = datamodule.test_images[: len(labels)]
        figures["confident_mistakes"] = confident_mistakes(images, labels, predicted, confidence, title)
    return figures


def draw_translation(run: RunDirectory, task: Task, datamodule: Any) -> Figures:  # noqa: ANN401
    """Learning curves, where the decoder looks, and what is right by length and by what is measured."""
    # What else belongs to translation takes a while to import.
    from rnnexp.tasks.translation.figures import draw_attention, draw_scores

    figures = {}
    if run.metrics_file.exists():
        figures["learning_curves"] = learning_curves(run.metrics_file, "train/loss", "val/loss", "bleu", run.path.name)
    return figures | draw_scores(run) | draw_attention(task, datamodule)


DRAWINGS: dict[type, Callable[[RunDirectory, Task, Any], Figures]] = {
    LabelledSequences: draw_classification,
    TranslationBatch: draw_translation,
}
