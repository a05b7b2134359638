"""The figures of a classification run."""

from typing import Any

import torch
from matplotlib.figure import Figure

from rnnexp.plots.runs import confident_mistakes, confusion_matrix
from rnnexp.tasks.base import Task
from rnnexp.tracking.run_directory import RunDirectory


def draw_predictions(run: RunDirectory, task: Task, datamodule: Any) -> dict[str, Figure]:  # noqa: ANN401, ARG001
    """Return the confusion matrix and the most confident mistakes; nothing if no predictions were saved."""
    if not run.predictions_file.exists():
        return {}
    title = run.path.name
    predictions = torch.load(run.predictions_file, weights_only=True)
    labels, predicted, confidence = (predictions[key].numpy() for key in ("labels", "predicted", "confidence"))
    images = datamodule.test_images[: len(labels)]
    return {
        "confusion_matrix": confusion_matrix(labels, predicted, datamodule.num_classes, title),
        "confident_mistakes": confident_mistakes(images, labels, predicted, confidence, title),
    }
