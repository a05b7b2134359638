"""Every cell is compared with its equations by scalar arithmetic: two units, two inputs, two steps."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from rnnexp.recurrent import RecurrentStack
from rnnexp.recurrent.cells import make_cell
from support.cells import every_cell

X1 = (0.5, -1.0)
X2 = (-0.25, 0.75)
H0 = (0.3, -0.6)
C0 = (-0.4, 0.9)
N0 = (1.5, 2.5)
M0 = (0.2, -0.7)

# Each gate has rows of W and U, and the biases b and d.
GATE_1 = {"W": ((0.1, -0.2), (0.3, 0.4)), "U": ((0.5, -0.6), (0.7, 0.8)), "b": (0.05, -0.15), "d": (0.25, 0.35)}
GATE_2 = {"W": ((-0.9, 0.8), (0.7, -0.6)), "U": ((0.4, 0.3), (-0.2, 0.1)), "b": (0.12, 0.22), "d": (-0.32, 0.42)}
GATE_3 = {"W": ((0.15, 0.25), (-0.35, 0.45)), "U": ((-0.55, 0.65), (0.75, -0.85)), "b": (-0.1, 0.2), "d": (0.3, -0.4)}
GATE_4 = {"W": ((1.1, -1.2), (1.3, 1.4)), "U": ((-0.11, 0.21), (0.31, -0.41)), "b": (0.6, -0.7), "d": (-0.8, 0.9)}
GATES = [GATE_1, GATE_2, GATE_3, GATE_4]
# Additional weights of the cells.
VECTORS = {"p_i": (0.5, -0.7), "p_f": (-0.3, 0.2), "p_o": (0.9, 0.4), "u": (0.6, -1.2)}
# Gains and biases of normalized cells: of all blocks, or of one.
VECTORS |= {"alpha_x": (1.1, 0.8, -0.6, 1.3, 0.7, 0.9, 1.2, 0.5), "alpha_h": (0.4, 1.5, 0.9, -1.2, 0.6, 1.1, 0.3, 0.8)}
VECTORS |= {"beta": (0.2, -0.1, 0.3, 0.5, -0.4, 0.1, 0.6, -0.2), "alpha_c": (1.4, 0.6), "beta_c": (-0.3, 0.25)}
VECTORS |= {"beta_h": (0.15, -0.35)}
MATRIX = ((0.2, -0.9), (0.5, 0.35))


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


def from_input(gate: dict[str, Any], x: Any, k: int) -> float:
    return product(gate["W"], x, k) + gate["b"][k]


def one_bias(gate: dict[str, Any], x: Any, h: Any, k: int) -> float:
    return from_input(gate, x, k) + product(gate["U"], h, k)


def two_steps(step: Callable[..., list[tuple[float, ...]]], *state: tuple[float, ...]) -> list[tuple[float, ...]]:
    """Return the state after two steps, from `step(x, *state, k)`, which returns the numbers of one unit."""
    for x in (X1, X2):
        state = tuple(zip(step(x, *state, 0), step(x, *state, 1), strict=True))
    return list(state)


def peephole_lstm(x: Any, h: Any, c: Any, k: int) -> Any:
    """Graves (2013), equations 7 to 11."""
    i = sigmoid(one_bias(GATE_1, x, h, k) + VECTORS["p_i"][k] * c[k])
    f = sigmoid(one_bias(GATE_2, x, h, k) + VECTORS["p_f"][k] * c[k])
    new_c = f * c[k] + i * math.tanh(one_bias(GATE_3, x, h, k))
    o = sigmoid(one_bias(GATE_4, x, h, k) + VECTORS["p_o"][k] * new_c)
    return o * math.tanh(new_c), new_c


def normalized(values: list[float]) -> list[float]:
    """LN of Ba et al. (2016) with the gain 1 and the bias 0."""
    mean = sum(values) / len(values)
    deviation = math.sqrt(sum((value - mean) ** 2 for value in values) / len(values) + 1e-5)
    return [(value - mean) / deviation for value in values]


def normalized_products(gates: list[dict[str, Any]], letter: str, v: Any, first: int = 0) -> list[float]:
    """LN of W x or U h over some gates, times the gain from the row `first` on: two numbers for each gate."""
    alpha = VECTORS["alpha_x" if letter == "W" else "alpha_h"]
    values = normalized([product(gate[letter], v, k) for gate in gates for k in (0, 1)])
    return [alpha[first + row] * value for row, value in enumerate(values)]


def normalized_lstm(x: Any, h: Any, c: Any, k: int) -> Any:
    """Ba et al. (2016), equations 20 to 22."""
    pairs = zip(normalized_products(GATES, "W", x), normalized_products(GATES, "U", h), VECTORS["beta"], strict=True)
    rows = [sum(terms) for terms in pairs]

    def new_c(unit: int) -> float:
        i, f, c_tilde = rows[unit], rows[2 + unit], rows[4 + unit]
        return sigmoid(f) * c[unit] + sigmoid(i) * math.tanh(c_tilde)

    both = [new_c(0), new_c(1)]
    squashed = math.tanh(VECTORS["alpha_c"][k] * normalized(both)[k] + VECTORS["beta_c"][k])
    return sigmoid(rows[6 + k]) * squashed, both[k]


def normalized_gru(x: Any, h: Any, k: int) -> Any:
    """Ba et al. (2016), in the supplement: r and z together, h~ alone."""
    pairs = zip(normalized_products(GATES[:2], "W", x), normalized_products(GATES[:2], "U", h), strict=True)
    gates = [sigmoid(a + b + VECTORS["beta"][row]) for row, (a, b) in enumerate(pairs)]
    r, z = gates[k], gates[2 + k]
    from_x = normalized_products([GATE_3], "W", x, first=4)[k] + VECTORS["beta"][4 + k]
    from_h = normalized_products([GATE_3], "U", h, first=4)[k] + VECTORS["beta_h"][k]
    return ((1 - z) * math.tanh(from_x + r * from_h) + z * h[k],)


def refined(f: float, r: float) -> float:
    """Gu et al. (2020): between f^2 and 1 - (1 - f)^2."""
    return r * (1 - (1 - f) ** 2) + (1 - r) * f**2


def ur_lstm(x: Any, h: Any, c: Any, k: int) -> Any:
    """Gu et al. (2020): r in place of i."""
    g = refined(sigmoid(preactivation(GATE_2, x, h, k)), sigmoid(preactivation(GATE_1, x, h, k)))
    new_c = g * c[k] + (1 - g) * math.tanh(preactivation(GATE_3, x, h, k))
    return sigmoid(preactivation(GATE_4, x, h, k)) * math.tanh(new_c), new_c


def ur_gru(x: Any, h: Any, k: int) -> Any:
    """Gu et al. (2020), for z, which keeps h."""
    r = sigmoid(preactivation(GATE_1, x, h, k))
    z = refined(sigmoid(preactivation(GATE_2, x, h, k)), sigmoid(preactivation(GATE_3, x, h, k)))
    h_tilde = math.tanh(from_input(GATE_4, x, k) + r * (product(GATE_4["U"], h, k) + GATE_4["d"][k]))
    return ((1 - z) * h_tilde + z * h[k],)


def cifg(x: Any, h: Any, c: Any, k: int) -> Any:
    """Greff et al. (2017): f = 1 - i."""
    i = sigmoid(one_bias(GATE_1, x, h, k))
    new_c = (1 - i) * c[k] + i * math.tanh(one_bias(GATE_2, x, h, k))
    return sigmoid(one_bias(GATE_3, x, h, k)) * math.tanh(new_c), new_c


def mgu(x: Any, h: Any, k: int) -> Any:
    """Zhou et al. (2016)."""
    f = [sigmoid(one_bias(GATE_1, x, h, unit)) for unit in (0, 1)]
    h_tilde = math.tanh(one_bias(GATE_2, x, (f[0] * h[0], f[1] * h[1]), k))
    return ((1 - f[k]) * h[k] + f[k] * h_tilde,)


def janet(beta: float) -> Any:
    """Van der Westhuizen & Lasenby (2018)."""

    def step(x: Any, h: Any, k: int) -> Any:
        s = one_bias(GATE_1, x, h, k)
        return (sigmoid(s) * h[k] + (1 - sigmoid(s - beta)) * math.tanh(one_bias(GATE_2, x, h, k)),)

    return step


def slstm(x: Any, h: Any, c: Any, n: Any, m: Any, k: int) -> Any:
    """Beck et al. (2024): from the equations without a stabilizer, of exp(m) c and exp(m) n."""
    z = math.tanh(one_bias(GATE_1, x, h, k))
    i_log, f = one_bias(GATE_2, x, h, k), sigmoid(one_bias(GATE_3, x, h, k))
    o = sigmoid(one_bias(GATE_4, x, h, k))
    new_c = f * c[k] * math.exp(m[k]) + math.exp(i_log) * z
    new_n = f * n[k] * math.exp(m[k]) + math.exp(i_log)
    new_m = max(math.log(f) + m[k], i_log)
    return o * new_c / new_n, new_c / math.exp(new_m), new_n / math.exp(new_m), new_m


def exponential_slstm(x: Any, h: Any, c: Any, n: Any, m: Any, k: int) -> Any:
    """The same with f = exp."""
    z = math.tanh(one_bias(GATE_1, x, h, k))
    i_log, f_log = one_bias(GATE_2, x, h, k), one_bias(GATE_3, x, h, k)
    new_c = math.exp(f_log + m[k]) * c[k] + math.exp(i_log) * z
    new_n = math.exp(f_log + m[k]) * n[k] + math.exp(i_log)
    new_m = max(f_log + m[k], i_log)
    h_k = sigmoid(one_bias(GATE_4, x, h, k)) * new_c / new_n
    return h_k, new_c / math.exp(new_m), new_n / math.exp(new_m), new_m


def indrnn(activation: Any) -> Any:
    """Li et al. (2018), equation 2."""
    return lambda x, h, k: (activation(from_input(GATE_1, x, k) + VECTORS["u"][k] * h[k]),)


def min_gru(x: Any, h: Any, k: int) -> Any:
    """Feng et al. (2024), section 3.1."""
    z = sigmoid(from_input(GATE_1, x, k))
    return ((1 - z) * h[k] + z * from_input(GATE_2, x, k),)


def min_lstm(x: Any, h: Any, k: int) -> Any:
    """Feng et al. (2024), section 3.2."""
    f, i = sigmoid(from_input(GATE_1, x, k)), sigmoid(from_input(GATE_2, x, k))
    return (f / (f + i) * h[k] + i / (f + i) * from_input(GATE_3, x, k),)


def antisymmetric_product(h: Any, k: int, gamma: float) -> float:
    """U - U^T has zeros in its diagonal."""
    above = MATRIX[0][1] - MATRIX[1][0]
    return (above * h[1] if k == 0 else -above * h[0]) - gamma * h[k]


def antisymmetric(x: Any, h: Any, k: int) -> Any:
    """Chang et al. (2019), with epsilon = 0.5 and gamma = 0.1."""
    return (h[k] + 0.5 * math.tanh(antisymmetric_product(h, k, 0.1) + from_input(GATE_1, x, k)),)


def gated_antisymmetric(x: Any, h: Any, k: int) -> Any:
    """Chang et al. (2019), with a gate, epsilon = 0.01 and gamma = 0.01."""
    recurrent = antisymmetric_product(h, k, 0.01)
    z = sigmoid(recurrent + from_input(GATE_1, x, k))
    return (h[k] + 0.01 * z * math.tanh(recurrent + from_input(GATE_2, x, k)),)


def cornn(x: Any, y: Any, z: Any, k: int) -> Any:
    """Rusch & Mishra (2021), with dt = 0.5, gamma = 0.7 and epsilon = 1.3."""
    force = math.tanh(one_bias(GATE_1, x, y, k) + product(MATRIX, z, k))
    new_z = z[k] + 0.5 * force - 0.5 * 0.7 * y[k] - 0.5 * 1.3 * z[k]
    return y[k] + 0.5 * new_z, new_z


def lem(dt: float) -> Any:
    """Rusch et al. (2022)."""

    def new_z_of(x: Any, y: Any, z: Any, k: int) -> float:
        dt_z = dt * sigmoid(one_bias(GATE_1, x, y, k))
        return (1 - dt_z) * z[k] + dt_z * math.tanh(one_bias(GATE_3, x, y, k))

    def step(x: Any, y: Any, z: Any, k: int) -> Any:
        new_z = (new_z_of(x, y, z, 0), new_z_of(x, y, z, 1))
        dt_y = dt * sigmoid(one_bias(GATE_2, x, y, k))
        return (1 - dt_y) * y[k] + dt_y * math.tanh(one_bias(GATE_4, x, new_z, k)), new_z[k]

    return step


def options(**values: Any) -> dict[str, Any]:
    return {"cell_options": values}


CASES: list[tuple[dict[str, Any], list[tuple[float, ...]]]] = [
    ({"cell": "srn"}, srn(math.tanh)),
    ({"cell": "srn", **options(nonlinearity="relu")}, srn(relu)),
    ({"cell": "lstm"}, lstm()),
    ({"cell": "gru", **options(reset="before")}, gru_before()),
    ({"cell": "gru", **options(reset="after")}, gru_after()),
    ({"cell": "lstm", **options(layer_norm=True)}, two_steps(normalized_lstm, H0, C0)),
    ({"cell": "gru", **options(layer_norm=True)}, two_steps(normalized_gru, H0)),
    ({"cell": "lstm", **options(ur_gates=True)}, two_steps(ur_lstm, H0, C0)),
    ({"cell": "gru", **options(ur_gates=True)}, two_steps(ur_gru, H0)),
    ({"cell": "peephole_lstm"}, two_steps(peephole_lstm, H0, C0)),
    ({"cell": "cifg"}, two_steps(cifg, H0, C0)),
    ({"cell": "mgu"}, two_steps(mgu, H0)),
    ({"cell": "janet"}, two_steps(janet(1.0), H0)),
    ({"cell": "janet", **options(beta=0.0)}, two_steps(janet(0.0), H0)),
    ({"cell": "slstm"}, two_steps(slstm, H0, C0, N0, M0)),
    ({"cell": "slstm", **options(forget="exp")}, two_steps(exponential_slstm, H0, C0, N0, M0)),
    ({"cell": "indrnn"}, two_steps(indrnn(relu), H0)),
    ({"cell": "indrnn", **options(nonlinearity="tanh")}, two_steps(indrnn(math.tanh), H0)),
    ({"cell": "min_gru"}, two_steps(min_gru, H0)),
    ({"cell": "min_lstm"}, two_steps(min_lstm, H0)),
    ({"cell": "antisymmetric", **options(epsilon=0.5, gamma=0.1)}, two_steps(antisymmetric, H0)),
    ({"cell": "antisymmetric", **options(gated=True)}, two_steps(gated_antisymmetric, H0)),
    ({"cell": "cornn", **options(dt=0.5, gamma=0.7, epsilon=1.3)}, two_steps(cornn, H0, C0)),
    ({"cell": "lem"}, two_steps(lem(1.0), H0, C0)),
    ({"cell": "lem", **options(dt=0.3)}, two_steps(lem(0.3), H0, C0)),
]


def test_every_step_has_a_case() -> None:
    def step_of(settings: dict[str, Any]) -> Any:
        step = make_cell(options=settings.get("cell_options"), cell=settings["cell"]).cell.step
        return getattr(step, "func", step)

    assert {step_of(settings) for settings, _ in CASES} == {step_of(settings) for settings in every_cell()}


@pytest.mark.parametrize(
    ("settings", "expected", "backend"),
    [
        pytest.param(settings, expected, backend, id=f"{settings} {backend}")
        for settings, expected in CASES
        for backend in ("fused", "reference")
        if backend == "reference" or make_cell(settings["cell"], settings.get("cell_options")).cell.fused is not None
    ],
)
def test_two_steps(settings: dict[str, Any], expected: list[tuple[float, ...]], backend: str) -> None:
    stack = RecurrentStack(input_size=2, hidden_size=2, backend=backend, **settings).double()
    letters = {"weight_ih": "W", "weight_hh": "U", "bias_ih": "b", "bias_hh": "d"}
    with torch.no_grad():
        for key, parameter in stack.named_parameters():
            name = key.removesuffix("_l0")
            if name not in letters:
                values = MATRIX if parameter.dim() == 2 else VECTORS[name][: len(parameter)]
            else:
                values = [row for gate in GATES[: stack.cell.gates] for row in gate[letters[name]]]
            parameter.copy_(torch.tensor(values, dtype=torch.double))
    x = torch.tensor([[X1, X2]], dtype=torch.double)
    start = tuple(torch.tensor([[values]], dtype=torch.double) for values in (H0, C0, N0, M0)[: stack.num_states])
    outputs, state = stack(x, state=start)
    assert len(state) == len(expected)
    for tensor, values in zip(state, expected, strict=True):
        torch.testing.assert_close(tensor[0, 0], torch.tensor(values, dtype=torch.double), rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(outputs[0, -1], state[0][0, 0])


@pytest.mark.parametrize("settings", every_cell(), ids=str)
def test_gradients_are_those_of_finite_differences(settings: dict[str, Any]) -> None:
    torch.manual_seed(0)
    stack = RecurrentStack(input_size=2, hidden_size=2, bidirectional=True, backend="reference", **settings).double()
    for parameter in stack.parameters():
        torch.nn.init.normal_(parameter, std=0.5)
    names = [name for name, _ in stack.named_parameters()]
    # Numbers of a state are positive like n of an sLSTM.
    state = [0.5 + torch.rand(1, 2, 4, dtype=torch.double) for _ in range(stack.num_states)]
    x = torch.randn(2, 3, 2, dtype=torch.double)
    inputs = [tensor.requires_grad_() for tensor in (x, *state, *stack.parameters())]

    def run(x: torch.Tensor, *others: torch.Tensor) -> tuple[torch.Tensor, ...]:
        weights = dict(zip(names, others[len(state) :], strict=True))
        arguments = (x, torch.tensor([3, 2]), others[: len(state)])
        outputs, final = torch.func.functional_call(stack, weights, arguments)
        return outputs, *final

    assert torch.autograd.gradcheck(run, inputs)


def test_the_first_step_of_an_slstm_has_the_weight_of_its_input_alone() -> None:
    """c / n is z in the first step, however small exp(i) is, and later a mean of all z: no gate overflows."""
    stack = RecurrentStack("slstm", 1, 1)
    for i in (-200.0, 200.0):
        with torch.no_grad():
            stack.bias_ih_l0.copy_(torch.tensor([0.7, i, 0.0, 1e9]))  # z, i, f, o
            stack.weight_ih_l0.zero_()
            stack.weight_hh_l0.zero_()
        outputs, _ = stack(torch.zeros(1, 5, 1))
        torch.testing.assert_close(outputs.flatten(), torch.full((5,), math.tanh(0.7)))


def test_a_min_lstm_divides_gates_that_underflow() -> None:
    stack = RecurrentStack("min_lstm", 1, 1)
    with torch.no_grad():
        stack.bias_ih_l0.copy_(torch.tensor([-300.0, -300.0, 1.0]))  # f, i, h~
        stack.weight_ih_l0.zero_()
    torch.testing.assert_close(stack(torch.zeros(1, 2, 1))[0].flatten(), torch.tensor([0.5, 0.75]))


@pytest.mark.parametrize(
    ("cell", "size"),
    [
        # input 3, hidden 4: W, U, one bias for each block and additional weights
        ("peephole_lstm", 4 * (12 + 16 + 4) + 3 * 4),
        ("cifg", 3 * (12 + 16 + 4)),
        ("mgu", 2 * (12 + 16 + 4)),
        ("janet", 2 * (12 + 16 + 4)),
        ("slstm", 4 * (12 + 16 + 4)),
        ("indrnn", 12 + 4 + 4),
        ("min_gru", 2 * (12 + 4)),
        ("min_lstm", 3 * (12 + 4)),
        ("antisymmetric", 12 + 16 + 4),
        ("cornn", 12 + 16 + 16 + 4),
        ("lem", 4 * (12 + 16 + 4)),
    ],
)
def test_numbers_of_parameters(cell: str, size: int) -> None:
    stack = RecurrentStack(cell, 3, 4)
    assert sum(parameter.numel() for parameter in stack.parameters()) == size
    matrices = sum(parameter.numel() for parameter in stack.parameters() if parameter.dim() == 2)
    assert stack.multiply_adds_per_step == matrices


def test_the_two_resets_differ() -> None:
    assert math.dist(gru_before()[0], gru_after()[0]) > 0.1
