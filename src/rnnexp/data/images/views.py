"""Views of an image as a sequence: of rows, of pixels, or of pixels in a fixed permutation."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from rnnexp.core.validation import lookup

VIEWS: dict[str, Callable[[int, int], tuple[int, int]]] = {
    "rows": lambda height, width: (height, width),
    "pixels": lambda height, width: (height * width, 1),
}
"""The functions from (height, width) of an image to (time, features) of its sequence."""


def random_permutation(num_pixels: int, seed: int) -> Tensor:
    """Return a fixed random order of the pixels, int64 [num_pixels]: step t of the sequence is pixel `order[t]`."""
    return torch.from_numpy(np.random.RandomState(seed).permutation(num_pixels))


def bit_reversal_permutation(num_pixels: int) -> Tensor:
    """Return positions with their binary digits reversed, without those past the last pixel, int64 [num_pixels].

    784 pixels take 10 digits. It is the "permuted MNIST" of S4 (Gu et al., 2022, arXiv:2111.00396) and its successors.
    """
    num_digits = (num_pixels - 1).bit_length()
    positions = torch.arange(2**num_digits)
    reversed_positions = torch.zeros_like(positions)
    for digit in range(num_digits):
        reversed_positions |= ((positions >> digit) & 1) << (num_digits - 1 - digit)
    return reversed_positions[reversed_positions < num_pixels]


PERMUTATIONS: dict[str, Callable[[int], Tensor]] = {
    # numpy.random.RandomState(92916).permutation(784): Helfrich et al., 2018 (scoRNN, arXiv:1707.09520); Lezcano-Casado
    # and Martinez-Rubio, 2019 (expRNN, arXiv:1901.08428); and most permuted-MNIST tables since.
    "random92916": lambda num_pixels: random_permutation(num_pixels, 92916),
    "bitreversal": bit_reversal_permutation,
}


def make_permutation(name: str, num_pixels: int) -> Tensor:
    """Return the pixel order of a name: `random92916`, `bitreversal`, or `seed:N` for the permutation of another seed.

    Returns:
        int64 [num_pixels]; position t of the sequence shows pixel `order[t]`. `seed:92916` equals `random92916`.

    Raises:
        ValueError: for an unknown name, or an N that is not a whole number from 0 to 2**32 - 1.
    """
    kind, _, seed = name.partition(":")
    if kind == "seed":
        if not (seed.isascii() and seed.isdigit() and int(seed) < 2**32):
            raise ValueError(f"permutation {name!r}: N in seed:N must be a whole number from 0 to 4294967295")
        return random_permutation(num_pixels, int(seed))
    return lookup("permutation", name, PERMUTATIONS | {"seed:N": bit_reversal_permutation})(num_pixels)


def as_sequences(images: Tensor, view: str, permutation: str | None) -> Tensor:
    """Return images as sequences: order the pixels by the permutation, if any, then apply the view.

    Args:
        images: uint8 [samples, height, width].
        view: a key of VIEWS.
        permutation: see `make_permutation`; None for none.

    Returns:
        uint8 [samples, time, features]: `rows` gives [.., height, width], `pixels` [.., height * width, 1].

    Raises:
        ValueError: for an unknown view or permutation.
    """
    num_samples, height, width = images.shape
    time, features = lookup("view", view, VIEWS)(height, width)
    pixels = images.reshape(num_samples, height * width)
    if permutation is not None:
        order = make_permutation(permutation, height * width)
        pixels = pixels.gather(1, order.expand_as(pixels))  # five times as fast as index_select along this axis
    return pixels.reshape(num_samples, time, features)
