"""The encoding of images as inputs of a network."""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from rnnexp.data.encoding import Encoding, Inputs
from rnnexp.data.images.views import as_sequences, make_permutation


class ImageEncoding(Encoding):
    """The encoding of images of bytes: a view as a sequence, and a normalization.

    Args:
        view, permutation: see `as_sequences`.
        mean, std: of the brightness of a pixel, from 0 to 1.
        classes: the label of each class.
    """

    kind = "image"

    def __init__(self, view: str, permutation: str | None, mean: float, std: float, classes: list[int]) -> None:
        self.view, self.permutation = view, permutation
        self.mean, self.std, self.classes = mean, std, classes

    @classmethod
    def from_state(cls, options: Mapping[str, Any], state: Any) -> "ImageEncoding":  # noqa: ANN401
        valid = validated(state)
        return cls(options["view"], options["permutation"], valid["mean"], valid["std"], valid["classes"])

    def encode(self, samples: Any) -> Inputs:  # noqa: ANN401
        """Return the inputs for images.

        Args:
            samples: bytes from 0 to 255, [batch, height, width].
        """
        return Inputs(self.encode_step(as_sequences(_bytes(samples, 3), self.view, self.permutation)), None)

    def encode_step(self, values: Any) -> Tensor:  # noqa: ANN401
        """Return the inputs for bytes in the order of the sequence, [batch, features]: a row of pixels, or a pixel."""
        scale, shift = scale_and_shift(self.mean, self.std)
        return _bytes(values, None).to(torch.float32).mul_(scale).add_(shift)

    def to_plain(self, time: int, features: int) -> dict[str, Any]:
        scale, shift = scale_and_shift(self.mean, self.std)
        order = None
        if self.permutation is not None:
            order = make_permutation(self.permutation, time * features).tolist()
        of_view = {"view": self.view, "permutation": order, "scale": scale, "shift": shift}
        return super().to_plain(time, features) | of_view


def scale_and_shift(mean: float, std: float) -> tuple[float, float]:
    """Return the numbers with which bytes become inputs, `byte * scale + shift`."""
    return 1 / (255 * std), -mean / std


def validated(state: Mapping[str, Any]) -> dict[str, Any]:
    """Return the state of a data module from a checkpoint.

    Raises:
        KeyError, TypeError, ValueError: for a value that no data have.
    """
    for name in ("mean", "std"):
        if not isinstance(state[name], int | float) or not math.isfinite(state[name]):
            raise ValueError(f"the {name} of the normalization is {state[name]!r}")
    if not state["std"] > 0:
        raise ValueError(f"the std of the normalization is {state['std']!r}")
    classes = state["classes"]
    if not isinstance(classes, list) or any(type(each) is not int for each in classes):
        raise TypeError(f"the classes are {classes!r}")
    if classes != sorted(set(classes)):
        raise ValueError(f"the classes are {classes!r}, not in ascending order")
    return dict(state)


def _bytes(samples: Any, axes: int | None) -> Tensor:  # noqa: ANN401
    images = torch.as_tensor(samples)
    if images.dtype != torch.uint8 or axes not in (None, images.dim()):
        raise ValueError(
            f"images must be bytes from 0 to 255, uint8 [batch, height, width], not {images.dtype} {list(images.shape)}"
        )
    return images
