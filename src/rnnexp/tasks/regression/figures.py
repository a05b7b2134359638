"""The figures of a regression run."""

from typing import Any

import torch
from matplotlib.figure import Figure

from rnnexp.plots.sequences import Example, curves, predictions_and_residuals
from rnnexp.tasks.examples import inputs_of, name_of, read_predictions, worst
from rnnexp.tasks.regression.task import RegressionTask
from rnnexp.tracking.run_directory import RunDirectory


def draw_predictions(run: RunDirectory, task: RegressionTask, datamodule: Any) -> dict[str, Figure]:  # noqa: ANN401
    """Return predictions against the truth with residuals, and the sequences with the largest errors."""
    predictions = read_predictions(run)
    if not predictions:
        return {}
    title = run.path.name
    targets, predicted = predictions["targets"], predictions["predicted"]
    figures = {"predictions": predictions_and_residuals(targets.numpy(), predicted.numpy(), task.target_names, title)}
    if examples := _worst_sequences(predictions, task, datamodule):
        figures["worst_sequences"] = curves(examples, f"{title}: the largest errors", datamodule.feature_names)
    return figures


def _worst_sequences(predictions: dict[str, Any], task: RegressionTask, datamodule: Any) -> list[Example]:  # noqa: ANN401
    """Return the sequences with the largest errors, relative to the deviation of each number."""
    sizes = predictions["num_steps"].tolist()
    errors = ((predictions["predicted"] - predictions["targets"]).abs() / task.target_std).mean(dim=1)
    samples = worst(torch.stack([each.mean() for each in torch.split(errors, sizes)]))
    targets, predicted = (torch.split(predictions[key], sizes) for key in ("targets", "predicted"))
    examples = []
    for sample, inputs in zip(samples, inputs_of(datamodule, samples), strict=True):
        truths, guesses, title = targets[sample], predicted[sample], name_of(predictions, sample)
        if task.per_step:
            caption = f"{title}: {task.target_names[0]}"
            examples.append(Example(caption, inputs, None, truths[:, 0].numpy(), guesses[:, 0].numpy()))
        else:
            values = zip(task.target_names, truths[0].tolist(), guesses[0].tolist(), strict=True)
            shown = "; ".join(f"{name} {truth:.4g}, predicted {guess:.4g}" for name, truth, guess in values)
            examples.append(Example(f"{title}: {shown}", inputs))
    return examples
