"""The initialization of the biases of gates."""

from collections.abc import Mapping

from torch import Tensor


def set_gate_bias(weights: Mapping[str, Tensor], gate: int, value: float | Tensor) -> None:
    """Set b + d of one gate to a value: b to the value, and d, where the cell has one, to zero.

    Args:
        weights: those of one layer and direction, by name.
        gate: the number of its block.
        value: a number, or one for each unit.
    """
    hidden_size = weights["weight_hh"].shape[1]
    rows = slice(gate * hidden_size, (gate + 1) * hidden_size)
    weights["bias_ih"][rows] = value
    if "bias_hh" in weights:
        weights["bias_hh"][rows] = 0


def keep_for(weights: Mapping[str, Tensor], signs: Mapping[int, int], longest: float) -> None:
    """Initialize the biases of gates so that units forget after 1 to `longest` steps.

    This is the chrono initialization (Tallec & Ollivier, 2018, arXiv:1804.11188, equation 16): a gate that keeps the
    state starts at log(u) with u uniform in [1, longest - 1], and one that replaces it at -log(u).

    Args:
        weights: those of one layer and direction, by name.
        signs: the number of a gate's block -> 1 if the gate keeps the state, -1 if it replaces it.
        longest: the longest dependency that is expected, in steps.
    """
    hidden_size = weights["weight_hh"].shape[1]
    biases = weights["bias_ih"].new_empty(hidden_size).uniform_(1, longest - 1).log_()
    for gate, sign in signs.items():
        set_gate_bias(weights, gate, sign * biases)


def require_chrono(chrono: float | None) -> None:
    """Raise ValueError for a longest dependency whose interval is empty."""
    if chrono is not None and chrono <= 2:
        raise ValueError(f"chrono is the longest dependency in steps and must exceed 2, not {chrono}")
