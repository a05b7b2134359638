"""Every cell is compared with its equations by scalar arithmetic: two units, two inputs, two steps."""

import math
from typing import Any

import pytest
import torch

from rnnexp.recurrent import RecurrentStack

X1 = (0.5, -1.0)
X2 = (-0.25, 0.75)
H0 = (0.3, -0.6)
C0 = (-0.4, 0.9)

# Each gate has rows of W and U, and the biases b and d.
GATE_1 = {"W": ((0.1, -0.2), (0.3, 0.4)), "U": ((0.5, -0.6), (0.7, 0.8)), "b": (0.05, -0.15), "d": (0.25, 0.35)}
GATE_2 = {"W": ((-0.9, 0.8), (0.7, -0.6)), "U": ((0.4, 0.3), (-0.2, 0.1)), "b": (0.12, 0.22), "d": (-0.32, 0.42)}
GATE_3 = {"W": ((0.15, 0.25), (-0.35, 0.45)), "U": ((-0.55, 0.65), (0.75, -0.85)), "b": (-0.1, 0.2), "d": (0.3, -0.4)}
GATE_4 = {"W": ((1.1, -1.2), (1.3, 1.4)), "U": ((-0.11, 0.21), (0.31, -0.41)), "b": (0.6, -0.7), "d": (-0.8, 0.9)}
GATES = [GATE_1, GATE_2, GATE_3, GATE_4]


def sigmoid(a: float) -> float:
    return 1 / (1 + math.exp(-a))


def relu(a: float) -> float:
    return max(a, 0.0)


def product(rows: Any, v: Any, k: int) -> float:
    return rows[k][0] * v[0] + rows[k][1] * v[1]


def preactivation(gate: dict[str, Any], x: Any, h: Any, k: int) -> float:
    return product(gate["W"], x, k) + gate["b"][k] + product(gate["U"], h, k) + gate["d"][k]


def srn(activation: Any) -> list[tuple[float, ...]]:
    h = H0
    for x in (X1, X2):
        h = (activation(preactivation(GATE_1, x, h, 0)), activation(preactivation(GATE_1, x, h, 1)))
    return [h]


def lstm() -> list[tuple[float, ...]]:
    h, c = H0, C0
    for x in (X1, X2):
        new_h, new_c = [], []
        for k in (0, 1):
            f = sigmoid(preactivation(GATE_2, x, h, k))
            i = sigmoid(preactivation(GATE_1, x, h, k))
            c_tilde = math.tanh(preactivation(GATE_3, x, h, k))
            new_c.append(f * c[k] + i * c_tilde)
            o = sigmoid(preactivation(GATE_4, x, h, k))
            new_h.append(o * math.tanh(new_c[k]))
        h, c = (new_h[0], new_h[1]), (new_c[0], new_c[1])
    return [h, c]


def gru_before() -> list[tuple[float, ...]]:
    """Cho et al. (2014): the reset gate scales h. Chung et al. (2014): z replaces h."""
    h = H0
    for x in (X1, X2):
        r = [sigmoid(preactivation(GATE_1, x, h, k)) for k in (0, 1)]
        z = [sigmoid(preactivation(GATE_2, x, h, k)) for k in (0, 1)]
        scaled = (r[0] * h[0], r[1] * h[1])
        h_tilde = [math.tanh(preactivation(GATE_3, x, scaled, k)) for k in (0, 1)]
        h = ((1 - z[0]) * h[0] + z[0] * h_tilde[0], (1 - z[1]) * h[1] + z[1] * h_tilde[1])
    return [h]


def gru_after() -> list[tuple[float, ...]]:
    """torch.nn.GRU's documentation: the reset gate scales U h + d, z keeps h."""
    h = H0
    for x in (X1, X2):
        r = [sigmoid(preactivation(GATE_1, x, h, k)) for k in (0, 1)]
        z = [sigmoid(preactivation(GATE_2, x, h, k)) for k in (0, 1)]
        from_input = [product(GATE_3["W"], x, k) + GATE_3["b"][k] for k in (0, 1)]
        from_hidden = [product(GATE_3["U"], h, k) + GATE_3["d"][k] for k in (0, 1)]
        h_tilde = [math.tanh(from_input[k] + r[k] * from_hidden[k]) for k in (0, 1)]
        h = ((1 - z[0]) * h_tilde[0] + z[0] * h[0], (1 - z[1]) * h_tilde[1] + z[1] * h[1])
    return [h]


CASES: list[tuple[dict[str, Any], int, list[tuple[float, ...]]]] = [
    ({"cell": "srn"}, 1, srn(math.tanh)),
    ({"cell": "srn", "cell_options": {"nonlinearity": "relu"}}, 1, srn(relu)),
    ({"cell": "lstm"}, 4, lstm()),
    ({"cell": "gru", "cell_options": {"reset": "before"}}, 3, gru_before()),
    ({"cell": "gru", "cell_options": {"reset": "after"}}, 3, gru_after()),
]


@pytest.mark.parametrize(
    ("settings", "num_gates", "expected", "backend"),
    [
        pytest.param(settings, num_gates, expected, backend, id=f"{settings} {backend}")
        for settings, num_gates, expected in CASES
        for backend in ("fused", "reference")
        if (backend, settings.get("cell_options")) != ("fused", {"reset": "before"})  # which no kernel computes
    ],
)
def test_two_steps(settings: dict[str, Any], num_gates: int, expected: list[tuple[float, ...]], backend: str) -> None:
    stack = RecurrentStack(input_size=2, hidden_size=2, backend=backend, **settings).double()
    gates = GATES[:num_gates]
    letters = {"weight_ih_l0": "W", "weight_hh_l0": "U", "bias_ih_l0": "b", "bias_hh_l0": "d"}
    stack.load_state_dict(
        {
            key: torch.cat([torch.tensor(gate[letter], dtype=torch.double) for gate in gates])
            for key, letter in letters.items()
        }
    )
    x = torch.tensor([[X1, X2]], dtype=torch.double)
    start = tuple(torch.tensor([[values]], dtype=torch.double) for values in (H0, C0)[: stack.num_states])
    outputs, state = stack(x, state=start)
    assert len(state) == len(expected)
    for tensor, values in zip(state, expected, strict=True):
        torch.testing.assert_close(tensor[0, 0], torch.tensor(values, dtype=torch.double), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(outputs[0, -1], state[0][0, 0])


def test_the_two_resets_differ() -> None:
    assert math.dist(gru_before()[0], gru_after()[0]) > 0.1
