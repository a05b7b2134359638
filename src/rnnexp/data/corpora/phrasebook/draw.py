"""Random choices from a seed, the same on every platform and version of Python."""

import hashlib
import random
from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")


class Draw:
    """A source of random choices.

    It uses only `random()` of `random.Random`, whose sequence Python guarantees not to change.

    Args:
        seed: any text; equal texts lead to equal choices.
    """

    def __init__(self, seed: str) -> None:
        self._random = random.Random(int.from_bytes(hashlib.sha256(seed.encode()).digest())).random  # noqa: S311

    def one(self, choices: Sequence[T]) -> T:
        """Return one of the choices, with equal probability."""
        return choices[int(self._random() * len(choices))]

    def chance(self, probability: float = 0.5) -> bool:
        """Return True with a probability."""
        return self._random() < probability
