"""Single test samples for the figures of tasks on sequences."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnexp.tracking.run_directory import RunDirectory

NUM_EXAMPLES = 8


def read_predictions(run: RunDirectory) -> dict[str, Any]:
    """Return the saved predictions of a run, tensors and possibly `ids`, a list of text; empty without any."""
    if not run.predictions_file.exists():
        return {}
    predictions: dict[str, Any] = torch.load(run.predictions_file, weights_only=True)
    return predictions


def name_of(predictions: Mapping[str, Any], sample: int) -> str:
    """Return the name of a test sequence: its id in its file, or without one its place in the test set."""
    return f"sequence {predictions['ids'][sample] if 'ids' in predictions else sample}"


def worst(errors: Tensor) -> list[int]:
    """Return the samples with the largest errors above 0 [samples], the largest first."""
    order = torch.argsort(errors, descending=True, stable=True)[:NUM_EXAMPLES].tolist()
    return [sample for sample in order if errors[sample] > 0]


def inputs_of(datamodule: Any, samples: Sequence[int]) -> list[NDArray[np.float32]]:  # noqa: ANN401
    """Return the inputs [time, features] of some test samples, without padding, as the network reads them.

    Args:
        datamodule: its test batches have `inputs` and `lengths`, in the order of the test set.
        samples: the places in the test set.
    """
    wanted = set(samples)
    found = {}
    first = 0
    for batch in datamodule.test_dataloader():
        for sample in wanted & set(range(first, first + len(batch.inputs))):
            place = sample - first
            length = None if batch.lengths is None else int(batch.lengths[place])
            found[sample] = batch.inputs[place, :length].float().cpu().numpy()
        first += len(batch.inputs)
    return [found[sample] for sample in samples]
