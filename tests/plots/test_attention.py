"""Attention weights are checked in one place."""

import numpy as np
import pytest
from numpy.typing import NDArray

from rnnexp.plots.attention import validated_weights


def test_weights_are_returned_in_double_precision() -> None:
    weights = validated_weights(["a", "b"], ["c"], np.array([[0.25, 0.75]], dtype=np.float32))
    assert weights.dtype == np.float64
    np.testing.assert_array_equal(weights, [[0.25, 0.75]])


@pytest.mark.parametrize(
    ("source", "target", "weights", "message"),
    [
        ([], ["a"], np.zeros((1, 0)), "needs tokens, but got 0 of source and 1 of target"),
        (["a"], [], np.zeros((0, 1)), "needs tokens, but got 1 of source and 0 of target"),
        (["a", "b"], ["c"], np.zeros((2, 1)), r"\[target, source\] = \(1, 2\), not \(2, 1\)"),
        (["a"], ["b"], np.full((1, 1), np.nan), "finite"),
        (["a"], ["b"], np.full((1, 1), np.inf), "finite"),
    ],
)
def test_weights_that_are_not_a_map(
    source: list[str], target: list[str], weights: NDArray[np.float64], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        validated_weights(source, target, weights)
