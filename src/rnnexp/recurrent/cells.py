"""The recurrences under comparison: each is one step, written as its equations, and one row of `CELLS`.

A step maps one time step's input and the previous state to the next state. Of the pre-activations W x + b + U h + d it
is handed the input half, computed for all time steps at once, and the map of the recurrent half, which it applies
itself: what U multiplies is the cell's own affair.

    x        W x_t + b, the gates' blocks side by side    [batch, gates * hidden]
    recur    h -> U h + d, for all gates or gate by gate
    state    a tuple whose first tensor is h              [batch, hidden] each
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

import torch
from torch import Tensor
from torch.nn.functional import linear

from rnnexp.core.validation import validate_choice

State = tuple[Tensor, ...]
"""What is carried from step to step. The first tensor is h."""

OPTIONS = {"reset": ("after", "before"), "nonlinearity": ("tanh", "relu")}
"""Options that only some cells have, and their values; the first is the default."""

Squash = Callable[[Tensor], Tensor]
"""The nonlinearity of a gate or a state: torch.sigmoid, torch.tanh or torch.relu."""

Kernel = Callable[..., tuple[Tensor, ...]]
"""A function of torch that runs a whole recurrent network over whole sequences, such as torch.gru."""


class Recurrence:
    """The recurrent product h -> U h + d: `recur(h)` for all gates at once, `recur.gates[k](h)` for one.

    Args:
        weight: U [gates * hidden, hidden], the gates' blocks one below the other.
        bias: d [gates * hidden].
    """

    def __init__(self, weight: Tensor, bias: Tensor) -> None:
        self.weight, self.bias = weight, bias
        hidden_size = weight.shape[1]
        blocks = zip(torch.split(weight, hidden_size), torch.split(bias, hidden_size), strict=True)
        self.gates: list[Callable[[Tensor], Tensor]] = [partial(linear, weight=u, bias=d) for u, d in blocks]

    def __call__(self, h: Tensor) -> Tensor:
        """U h + d [batch, gates * hidden] of h [batch, hidden]."""
        return linear(h, self.weight, self.bias)


Step = Callable[[Tensor, State, Recurrence], State]


@dataclass(frozen=True)
class Cell:
    """A recurrence, as a row of the table `CELLS`."""

    step: Step
    gates: int
    """Blocks of `hidden_size` rows in each weight and bias."""
    states: int = 1
    """Tensors carried from step to step."""
    forget_gate: int | None = None
    """Which block opens to remember: its bias is the forget bias."""
    fused: Kernel | None = None
    """The kernel that computes the same recurrence from the same weights; without one, the equations run in a loop."""
    variants: Mapping[str, Mapping[str, "Cell"]] = field(default_factory=dict)
    """Option (a key of `OPTIONS`) -> value other than its default -> the cell to use instead."""
    blocks: tuple[str, ...] = ()
    """What the equations call each block, in order. For measurements alone, like `squashed`."""
    squashed: Mapping[str, Squash] = field(default_factory=dict)
    """The gates among the blocks, and an SRN's state: block -> the function of its W x + b + U h + d that it is."""

    def variant(self, name: str, **options: str) -> "Cell":
        """The cell with these options set. The name is what errors call it.

        Raises:
            ValueError: for an unknown value, and for one other than the default where the cell has no such option.
        """
        cell = self
        for option, value in options.items():
            default, *_ = OPTIONS[option]
            validate_choice(option, value, OPTIONS[option])
            if value != default:
                if option not in self.variants:
                    raise ValueError(f"cell {name!r} has no option {option}: leave it at {default!r}, not {value!r}")
                cell = self.variants[option][value]
        return cell


def srn_tanh(x: Tensor, state: State, recur: Recurrence) -> State:
    """Simple recurrent network (Elman, 1990, "Finding structure in time")."""
    (h,) = state
    h = torch.tanh(x + recur(h))
    return (h,)


def srn_relu(x: Tensor, state: State, recur: Recurrence) -> State:
    """Simple recurrent network of rectified units (Le, Jaitly & Hinton, 2015, arXiv:1504.00941)."""
    (h,) = state
    h = torch.relu(x + recur(h))
    return (h,)


def lstm(x: Tensor, state: State, recur: Recurrence) -> State:
    """LSTM with forget gate (Gers, Schmidhuber & Cummins, 2000), without peepholes. Blocks: i, f, C~, o."""
    h, c = state
    i, f, c_tilde, o = (x + recur(h)).chunk(4, dim=-1)
    f = torch.sigmoid(f)
    i = torch.sigmoid(i)
    c_tilde = torch.tanh(c_tilde)
    c = f * c + i * c_tilde
    o = torch.sigmoid(o)
    h = o * torch.tanh(c)
    return h, c


def gru_reset_after(x: Tensor, state: State, recur: Recurrence) -> State:
    """GRU as PyTorch and cuDNN compute it: r scales U h + d, after the product, and z keeps h. Blocks: r, z, h~."""
    (h,) = state
    r_x, z_x, h_x = x.chunk(3, dim=-1)
    r_h, z_h, h_h = recur(h).chunk(3, dim=-1)
    r = torch.sigmoid(r_x + r_h)
    z = torch.sigmoid(z_x + z_h)
    h_tilde = torch.tanh(h_x + r * h_h)
    h = (1 - z) * h_tilde + z * h
    return (h,)


def gru_reset_before(x: Tensor, state: State, recur: Recurrence) -> State:
    """GRU of Cho et al. (2014, arXiv:1406.1078): r scales h, before the product. Blocks: r, z, h~.

    Here z replaces h, as in Chung et al. (2014, arXiv:1412.3555); in the kernels' GRU it keeps h.
    """
    (h,) = state
    r_x, z_x, h_x = x.chunk(3, dim=-1)
    r_recur, z_recur, h_recur = recur.gates
    z = torch.sigmoid(z_x + z_recur(h))
    r = torch.sigmoid(r_x + r_recur(h))
    h_tilde = torch.tanh(h_x + h_recur(r * h))
    h = (1 - z) * h + z * h_tilde
    return (h,)


R_AND_Z = {"r": torch.sigmoid, "z": torch.sigmoid}

CELLS: dict[str, Cell] = {
    "srn": Cell(
        srn_tanh,
        gates=1,
        fused=torch.rnn_tanh,
        blocks=("h",),
        squashed={"h": torch.tanh},
        variants={
            "nonlinearity": {
                "relu": Cell(srn_relu, gates=1, fused=torch.rnn_relu, blocks=("h",), squashed={"h": torch.relu})
            }
        },
    ),
    "lstm": Cell(
        lstm,
        gates=4,
        states=2,
        forget_gate=1,
        fused=torch.lstm,
        blocks=("i", "f", "C~", "o"),
        squashed={"i": torch.sigmoid, "f": torch.sigmoid, "o": torch.sigmoid},
    ),
    "gru": Cell(
        gru_reset_after,
        gates=3,
        fused=torch.gru,
        blocks=("r", "z", "h~"),
        squashed=R_AND_Z,
        variants={
            "reset": {"before": Cell(gru_reset_before, gates=3, blocks=("r", "z", "h~"), squashed=R_AND_Z)},
        },
    ),
}
