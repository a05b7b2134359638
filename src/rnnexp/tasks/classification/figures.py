"""The figures of a classification run."""

from typing import Any

from matplotlib.figure import Figure

from rnnexp.plots.classification import class_scores, confident_mistakes, confusion_matrix
from rnnexp.plots.sequences import Example, curves
from rnnexp.tasks.classification.task import ClassificationTask
from rnnexp.tasks.examples import inputs_of, name_of, read_predictions, worst
from rnnexp.tracking.run_directory import RunDirectory


def draw_predictions(run: RunDirectory, task: ClassificationTask, datamodule: Any) -> dict[str, Figure]:  # noqa: ANN401
    """Return the confusion matrix, the scores by class, and the most confident mistakes; nothing without predictions.

    Args:
        run: the directory of the finished run.
        task: has the `classes`.
        datamodule: has `test_images` [samples, height, width] if its sequences are images.
    """
    predictions = read_predictions(run)
    if not predictions:
        return {}
    title = run.path.name
    labels, predicted, confidence = (predictions[key].numpy() for key in ("labels", "predicted", "confidence"))
    classes = task.classes.tolist()
    figures = {
        "confusion_matrix": confusion_matrix(labels, predicted, classes, task.class_names, title),
        "class_scores": class_scores(labels, predicted, classes, task.class_names, title),
    }
    images = getattr(datamodule, "test_images", None)
    if images is not None:
        figures["confident_mistakes"] = confident_mistakes(images[: len(labels)], labels, predicted, confidence, title)
    elif mistakes := _mistakes(predictions, task, datamodule):
        figures["confident_mistakes"] = curves(mistakes, f"{title}: most confident mistakes", datamodule.feature_names)
    return figures


def _mistakes(predictions: dict[str, Any], task: ClassificationTask, datamodule: Any) -> list[Example]:  # noqa: ANN401
    is_wrong = predictions["labels"] != predictions["predicted"]
    samples = worst(predictions["confidence"] * is_wrong)
    names = dict(zip(task.classes.tolist(), task.class_names, strict=True))
    captions = []
    for sample in samples:
        label, predicted = (names[int(predictions[key][sample])] for key in ("labels", "predicted"))
        percent = 100 * float(predictions["confidence"][sample])
        captions.append(f"{name_of(predictions, sample)}: {label} as {predicted}, {percent:.0f} %")
    return list(map(Example, captions, inputs_of(datamodule, samples)))
