"""The figures of a tagging run."""

from typing import Any

import torch
from matplotlib.figure import Figure

from rnnexp.plots.classification import class_scores, confusion_matrix
from rnnexp.plots.sequences import Example, curves
from rnnexp.tasks.examples import inputs_of, name_of, read_predictions, worst
from rnnexp.tasks.tagging.task import TaggingTask
from rnnexp.tracking.run_directory import RunDirectory


def draw_predictions(run: RunDirectory, task: TaggingTask, datamodule: Any) -> dict[str, Figure]:  # noqa: ANN401
    """Return the confusion matrix and the scores by class over steps, and the sequences with the most wrong steps."""
    predictions = read_predictions(run)
    if not predictions:
        return {}
    title = run.path.name
    labels, predicted = (predictions[key].numpy() for key in ("labels", "predicted"))
    classes = task.classes.tolist()
    figures = {
        "confusion_matrix": confusion_matrix(labels, predicted, classes, task.class_names, f"{title}, steps"),
        "class_scores": class_scores(labels, predicted, classes, task.class_names, f"{title}, steps"),
    }
    if examples := _worst_sequences(predictions, datamodule):
        figures["worst_sequences"] = curves(
            examples, f"{title}: the most wrong steps, shaded", datamodule.feature_names
        )
    return figures


def _worst_sequences(predictions: dict[str, Any], datamodule: Any) -> list[Example]:  # noqa: ANN401
    is_wrong = predictions["labels"] != predictions["predicted"]
    by_sequence = torch.split(is_wrong, predictions["num_steps"].tolist())
    samples = worst(torch.stack([each.float().mean() if len(each) else torch.zeros(()) for each in by_sequence]))
    examples = []
    for sample, inputs in zip(samples, inputs_of(datamodule, samples), strict=True):
        wrong = by_sequence[sample].numpy()
        caption = f"{name_of(predictions, sample)}: {wrong.sum()} of {len(wrong)} wrong"
        # If some steps have no class, it is unknown which steps the answers belong to.
        examples.append(Example(caption, inputs, wrong if len(wrong) == len(inputs) else None))
    return examples
