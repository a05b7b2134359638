"""The figures of a classification run."""

from typing import Any

import torch
from matplotlib.figure import Figure

from rnnexp.plots.classification import confident_mistakes, confusion_matrix
from rnnexp.tasks.classification.task import ClassificationTask
from rnnexp.tracking.run_directory import RunDirectory


def draw_predictions(run: RunDirectory, task: ClassificationTask, datamodule: Any) -> dict[str, Figure]:  # noqa: ANN401
    """Return the confusion matrix and, for images, the most confident mistakes; nothing without saved predictions.

    Args:
        run: the directory of the finished run.
        task: has the `classes`.
        datamodule: has `test_images` [samples, height, width] if its sequences are images.
    """
    if not run.predictions_file.exists():
        return {}
    title = run.path.name
    predictions = torch.load(run.predictions_file, weights_only=True)
    labels, predicted, confidence = (predictions[key].numpy() for key in ("labels", "predicted", "confidence"))
    figures = {"confusion_matrix": confusion_matrix(labels, predicted, task.classes.tolist(), title)}
    images = getattr(datamodule, "test_images", None)
    if images is not None:
        figures["confident_mistakes"] = confident_mistakes(images[: len(labels)], labels, predicted, confidence, title)
    return figures
