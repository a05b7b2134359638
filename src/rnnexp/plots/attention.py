"""The symbols and the validation that the attention figure and the attention text share."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

NO_GLYPH, SPACE = "▯", "·"
"""The symbols for a character that cannot be shown, and for a space."""
MOST_TOKEN_CHARACTERS = 18
"""Longer tokens are truncated."""


def validated_weights(
    source: Sequence[str], target: Sequence[str], weights: NDArray[np.floating]
) -> NDArray[np.float64]:
    """Return attention weights as float64 [target_time, source_time].

    Args:
        source: [source_time] tokens.
        target: [target_time] tokens.
        weights: [target_time, source_time], each row a distribution over the source.

    Raises:
        ValueError: if there are no tokens, or the weights have another shape or are not finite.
    """
    if not source or not target:
        raise ValueError(f"an attention map needs tokens, but got {len(source)} of source and {len(target)} of target")
    checked = np.asarray(weights, dtype=np.float64)
    if checked.shape != (len(target), len(source)):
        raise ValueError(f"weights must be [target, source] = {(len(target), len(source))}, not {checked.shape}")
    if not np.isfinite(checked).all():
        raise ValueError("weights must be finite")
    return checked
