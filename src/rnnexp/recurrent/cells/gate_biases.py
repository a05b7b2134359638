"""The initialization of the biases of gates that keep or replace a state."""

from collections.abc import Callable, Mapping
from functools import partial

from torch import Tensor


def bias_initializer(
    signs: Mapping[int, int], forget_bias: float | None, chrono: float | None, uniform: bool = False
) -> Callable[[Mapping[str, Tensor]], None] | None:
    """Return the function that initializes the biases of the gates; None if it leaves them to the stack.

    Args:
        signs: the number of a gate's block -> 1 if the gate keeps the state, -1 if it replaces it.
        forget_bias: the bias of the first of these gates, times its sign.
        chrono: the longest dependency that is expected, in steps, for the chrono initialization in place of
            `forget_bias`.
        uniform: whether gates start uniformly, in place of `forget_bias`.

    Raises:
        ValueError: for a longest dependency of at most 2 steps, and for one with gates that start uniformly.
    """
    if uniform and chrono is not None:
        raise ValueError("ur_gates has an initialization of its own: leave out chrono")
    if uniform:
        return partial(initialize_uniform, signs=dict(signs))
    if chrono is not None:
        if chrono <= 2:
            raise ValueError(f"chrono is the longest dependency in steps and must exceed 2, not {chrono}")
        return partial(initialize_chrono, signs=dict(signs), longest=chrono)
    if forget_bias is not None:
        gate, sign = next(iter(signs.items()))
        return partial(set_gate_bias, gate=gate, value=sign * forget_bias)
    return None


def initialize_chrono(weights: Mapping[str, Tensor], signs: Mapping[int, int], longest: float) -> None:
    """Initialize the biases of gates so that units forget after 1 to `longest` steps.

    In the chrono initialization (Tallec & Ollivier, 2018, arXiv:1804.11188) a gate that keeps the state starts at
    log(u), with u uniform in [1, longest - 1], and a gate that replaces it at -log(u).
    """
    hidden_size = weights["weight_hh"].shape[1]
    biases = weights["weight_hh"].new_empty(hidden_size).uniform_(1, longest - 1).log_()
    for gate, sign in signs.items():
        set_gate_bias(weights, gate, sign * biases)


def initialize_uniform(weights: Mapping[str, Tensor], signs: Mapping[int, int]) -> None:
    """Initialize the biases of gates so that the gates start uniformly, from 1/n to 1 - 1/n for n units.

    In the uniform gate initialization (Gu et al., 2020, arXiv:1910.09890) the bias of a gate is log(u / (1 - u)), and
    that of the gate that refines it is the negative of it.
    """
    hidden_size = weights["weight_hh"].shape[1]
    least = min(1 / hidden_size, 0.5)
    biases = weights["weight_hh"].new_empty(hidden_size).uniform_(least, 1 - least).logit_()
    for gate, sign in signs.items():
        set_gate_bias(weights, gate, sign * biases)


def set_gate_bias(weights: Mapping[str, Tensor], gate: int, value: float | Tensor) -> None:
    """Set b + d of one gate to a value, or to one for each unit.

    b is set to the value, or beta of a normalized cell, and d, where there is one, to zero.
    """
    hidden_size = weights["weight_hh"].shape[1]
    rows = slice(gate * hidden_size, (gate + 1) * hidden_size)
    weights["bias_ih" if "bias_ih" in weights else "beta"][rows] = value
    if "bias_hh" in weights:
        weights["bias_hh"][rows] = 0
