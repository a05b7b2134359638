"""The division of published training images into training and validation, and the brightness of the training images."""

import logging
from collections.abc import Callable

import torch
from torch import Tensor

from rnnexp.core.errors import UserError
from rnnexp.core.validation import lookup

log = logging.getLogger(__name__)

MAX_VAL_SHARE = 1 / 3
"""The share of validation images above which a split is logged."""
SPLITS: dict[str, Callable[[int, int], Tensor]] = {
    "last": lambda num_images, _seed: torch.arange(num_images),
    "seeded": lambda num_images, seed: torch.randperm(num_images, generator=torch.Generator().manual_seed(seed)),
}
"""Functions that order the images; the last ones become the validation split."""


def split_images(num_images: int, val_size: float, split: str, seed: int) -> tuple[Tensor, Tensor]:
    """Divide images into training and validation.

    More than a third for validation is logged.

    Args:
        num_images: the number of images.
        val_size: the number of validation images, or their share below 1.
        split: `last` takes the last images for validation, `seeded` a random choice.
        seed: the seed of that choice.

    Returns:
        The indices of the images for training and those for validation, int64 [images] each, ascending.

    Raises:
        ValueError: for an unknown split.
        UserError: if nothing is left for training.
    """
    num_val = round(val_size * num_images) if isinstance(val_size, float) else val_size
    if num_val >= num_images:
        raise UserError(
            f"data.val_size={val_size} leaves none of the {num_images} training images: choose a smaller one"
        )
    if num_val > MAX_VAL_SHARE * num_images:
        log.warning(
            "data.val_size=%s leaves %s of %s images for training: data.val_size=0.1 takes a tenth for validation",
            *(val_size, f"{num_images - num_val:,}", f"{num_images:,}"),
        )
    indices = lookup("split", split, SPLITS)(num_images, seed)
    num_train = num_images - num_val
    return indices[:num_train].sort().values, indices[num_train:].sort().values


def brightness(images: Tensor) -> tuple[float, float]:
    """Return mean and standard deviation of the pixels of uint8 images, of any shape, scaled from [0, 255] to [0, 1].

    Both are computed exactly, from the number of occurrences of each of the 256 bytes.

    Raises:
        UserError: if all pixels are the same, so that their deviation is zero.
    """
    counts = torch.bincount(images.flatten(), minlength=256).double()
    values = torch.arange(256, dtype=torch.float64) / 255
    share = counts / counts.sum()
    mean = share @ values
    std = (share @ (values - mean).square()).sqrt()
    if int((counts > 0).sum()) == 1:
        raise UserError("all pixels of the training images are the same: use data.normalize=unit, or better images")
    return float(mean), float(std)
