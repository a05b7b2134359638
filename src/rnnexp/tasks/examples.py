"""Single samples, to be drawn or timed."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
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


def spread(number: int, most: int) -> list[int]:
    """Return the positions of at most `most` of a number of samples, spread evenly."""
    kept = min(number, most)
    return [position * number // kept for position in range(kept)]


def read_inputs(datamodule: Any, samples: Iterable[int]) -> Iterator[Tensor]:  # noqa: ANN401
    """Yield the inputs [time, features] of some test samples in the order of the test set, without padding.

    Args:
        datamodule: its test batches have `inputs` and `lengths`, in the order of the test set.
        samples: the places in the test set.
    """
    chosen, first = set(samples), 0
    for batch in datamodule.test_dataloader():
        for row in range(len(batch.inputs)):
            if first + row in chosen:
                length = None if batch.lengths is None else int(batch.lengths[row])
                # A copy, so that the batch is freed.
                yield batch.inputs[row, :length].clone()
        first += len(batch.inputs)


def inputs_of(datamodule: Any, samples: Sequence[int]) -> list[NDArray[np.float32]]:  # noqa: ANN401
    """Return what `read_inputs` yields in the order of the samples, as arrays for figures."""
    found = dict(zip(sorted(samples), read_inputs(datamodule, samples), strict=True))
    return [found[sample].float().cpu().numpy() for sample in samples]
