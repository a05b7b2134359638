"""The pictures of a classification run, drawn from its directory and the test images."""

from pathlib import Path

import torch

from rnnexp.data import MNISTDataModule
from rnnexp.figures import confident_mistakes, confusion_matrix, learning_curves, save_figure
from rnnexp.tracking.run_directory import RunDirectory


def draw_figures(run: RunDirectory, datamodule: MNISTDataModule) -> dict[str, Path]:
    """Draws what the run's files allow. Returns name -> PNG."""
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
    paths = {}
    for name, figure in figures.items():
        paths[name] = run.figures / f"{name}.png"
        save_figure(figure, paths[name])
    return paths
