"""Choices drawn from a seed, the same on every platform and version of Python."""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """A source of choices.

    Of the methods of `random.Random`, only the sequence of `random()` is promised to stay as it is.

    Args:
        seed: anything; equal texts give equal choices.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(int.from_bytes(hashlib.sha256(seed.encode()).digest())).random  # noqa: S311

    def one(self, choices: Sequence[T]) -> T:
        """One of them, each as probable."""
        return choices[int(self._random() * len(choices))]

    def chance(self, probability: float = 0.5) -> bool:
        """True that often."""
        return self._random() < probability
