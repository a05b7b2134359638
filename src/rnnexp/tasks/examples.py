"""Single test samples for the figures of tasks on sequences."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from rnnexp.tracking.run_directory import RunDirectory

NUM_EXAMPLES = 8


def read_predictions(run: RunDirectory) -> dict[str, Tensor]:
    """Return the saved predictions of a run; empty without any."""
    if not run.predictions_file.exists():
        return {}
    predictions: dict[str, Tensor] = torch.load(run.predictions_file, weights_only=True)
    return predictions


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
