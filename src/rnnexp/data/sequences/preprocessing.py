"""Standardization of inputs and the encoding of targets, both from the training split alone."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from rnnexp.core.errors import UserError
from rnnexp.data.batches import TargetUnits
from rnnexp.data.sequences.content import Array, Content
from rnnexp.data.sequences.targets import ROUNDING, ClassNames

log = logging.getLogger(__name__)

CHUNK_SIZE = 1 << 16
"""Steps that are in memory as float64 at the same time."""


@dataclass(frozen=True)
class Preprocessing:
    """The values with which inputs and targets are encoded.

    Args:
        features: the names of the features; None if the file does not name them.
        mean, std: inputs are `(value - mean) / std`, for each feature.
        classes: the labels of the classes; None for numbers.
        units: the units of the numbers; None for classes.
        num_train: the number of training sequences.
    """

    features: tuple[str, ...] | None
    mean: list[float]
    std: list[float]
    classes: ClassNames | None
    units: TargetUnits | None
    num_train: int

    def as_state(self) -> dict[str, Any]:
        """Return plain values for a checkpoint."""
        units = None if self.units is None else {name: list(values) for name, values in self.units._asdict().items()}
        features = None if self.features is None else list(self.features)
        return {**vars(self), "features": features, "units": units}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> "Preprocessing":
        """Return the values of a checkpoint.

        Raises:
            KeyError, TypeError, ValueError: for values that no data have.
        """
        features, classes, units = state["features"], state["classes"], state["units"]
        _require_scale(state["mean"], state["std"], len(state["mean"]))
        if features is not None and (not _are_different(str, features) or len(features) != len(state["mean"])):
            raise ValueError(f"the features are {features!r}")
        if classes is not None and not (_are_different(int, classes) or _are_different(str, classes)):
            raise ValueError(f"the classes are {classes!r}")
        if units is not None:
            if not _are_different(str, units["names"]):
                raise ValueError(f"the targets are {units['names']!r}")
            _require_scale(units["mean"], units["std"], len(units["names"]), " of the targets")
            units = TargetUnits(**units)
        if type(state["num_train"]) is not int or state["num_train"] < 1:
            raise TypeError(f"the number of training sequences is {state['num_train']!r}")
        features = None if features is None else tuple(features)
        return cls(features, state["mean"], state["std"], classes, units, state["num_train"])


def _are(kind: type, values: object) -> bool:
    return isinstance(values, list) and len(values) > 0 and all(type(value) is kind for value in values)


def _are_different(kind: type, values: object) -> bool:
    return isinstance(values, list) and _are(kind, values) and len({*values, ""}) == len(values) + 1


def _require_scale(mean: object, std: object, number: int, of: str = "") -> None:
    """Raise ValueError unless mean and std hold as many finite numbers, and those of std are positive."""
    for name, values in (("mean", mean), ("std", std)):
        if not isinstance(values, list) or len(values) != number or not _are(float, values):
            raise ValueError(f"the {name}{of} is {values!r}")
        if not np.isfinite(values).all() or (name == "std" and min(values) <= 0):
            raise ValueError(f"the {name}{of} is {values!r}")


def require_values(content: Content, missing: str) -> None:
    """Raise UserError for an infinite value, and for a missing one unless `missing` is `mask`."""
    for start, values in _chunks(content.values):
        is_wrong = ~np.isfinite(values) if missing == "refuse" else np.isinf(values)
        if is_wrong.any():
            step, feature = np.argwhere(is_wrong)[0].tolist()
            where = f"{content.path}: {content.place(start + step)}: feature {content.feature_name(feature)}"
            if np.isinf(values[step, feature]):
                raise UserError(f"{where}: is infinite: correct it")
            raise UserError(
                f"{where}: is missing (NaN): fill it, give data.missing=mask, or, if it is padding, the lengths of the "
                "sequences"
            )


def mean_and_std(content: Content, samples: Tensor) -> tuple[list[float], list[float]]:
    """Return mean and standard deviation of each feature over all steps of some sequences, without missing values.

    The deviation of a constant feature is 1.

    Args:
        content: the sequences.
        samples: those of the training split, int64 [samples].

    Raises:
        UserError: for a feature that is missing everywhere.
    """
    is_train = np.zeros(len(content), dtype=bool)
    is_train[samples.numpy()] = True
    is_used = np.repeat(is_train, content.lengths)
    total = np.zeros(content.values.shape[1])
    number = np.zeros_like(total)
    with np.errstate(over="ignore"):
        for start, values in _chunks(content.values):
            used = values[is_used[start : start + len(values)]]
            number = number + (~np.isnan(used)).sum(axis=0)
            total = total + np.nansum(used, axis=0)
    if (number == 0).any():
        name = content.feature_name(int((number == 0).argmax()))
        raise UserError(f"{content.path}: feature {name}: is missing in all training sequences: leave it out")
    mean, squares = total / number, np.zeros_like(total)
    with np.errstate(over="ignore", invalid="ignore"):
        for start, values in _chunks(content.values):
            squares = squares + np.nansum((values[is_used[start : start + len(values)]] - mean) ** 2, axis=0)
    std = np.sqrt(squares / number)
    if not np.isfinite(std).all():
        name = content.feature_name(int((~np.isfinite(std)).argmax()))
        raise UserError(f"{content.path}: feature {name}: has values too large to standardize: change its unit")
    is_constant = std <= ROUNDING * np.abs(mean)
    for feature in np.flatnonzero(is_constant).tolist():
        log.warning("%s: feature %s is constant in training", content.path, content.feature_name(feature))
    return mean.tolist(), np.where(is_constant, 1.0, std).tolist()


def encode_inputs(content: Content, preprocessing: Preprocessing, missing: str) -> Tensor:
    """Return standardized inputs, float32 [steps, features].

    With `missing=mask` a missing value is 0, the mean, and each feature is followed by an indicator that is 1 where it
    is missing (Lipton et al., 2016, arXiv:1606.04130), [steps, 2 * features].
    """
    num_steps, num_features = content.values.shape
    inputs = torch.empty(num_steps, num_features * (2 if missing == "mask" else 1))
    for start, values in _chunks(content.values):
        inputs[start : start + len(values)] = standardized(values, preprocessing, missing)
    if not inputs.isfinite().all():
        step, feature = (~inputs.isfinite()).nonzero()[0].tolist()
        raise UserError(
            f"{content.path}: {content.place(step)}: feature {content.feature_name(feature)}: is too large: correct it"
        )
    return inputs


def standardized(values: Array, preprocessing: Preprocessing, missing: str) -> Tensor:
    """Return standardized values float64 [steps, features], see `encode_inputs`."""
    scaled = torch.from_numpy((values - np.array(preprocessing.mean)) / np.array(preprocessing.std)).float()
    filled = scaled.masked_fill(scaled.isnan(), 0.0)
    return torch.cat([filled, scaled.isnan().float()], dim=1) if missing == "mask" else filled


def _chunks(values: Array) -> Iterator[tuple[int, Array]]:
    """Yield the first step and the values of each part, float64 [steps, features]."""
    for start in range(0, len(values), CHUNK_SIZE):
        yield start, np.asarray(values[start : start + CHUNK_SIZE], dtype=np.float64)
