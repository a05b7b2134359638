"""Layers as the operators RNN, LSTM and GRU of ONNX, for the cells that they compute."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnexp.export.stack import scan_layer
from rnnexp.recurrent import RecurrentStack, State
from rnnexp.recurrent.cells.standard import gru_reset_after, gru_reset_before, lstm, srn_relu, srn_tanh
from rnnexp.recurrent.scan import Weights

OPSET = 22
"""The version of the operators of ONNX, in which RNN, LSTM and GRU changed last."""


class Operator(NamedTuple):
    """An operator of ONNX for a cell."""

    name: str
    order: tuple[int, ...]
    """the place of each of its blocks of gates in the cell's"""
    attributes: dict[str, Any]
    negated: tuple[int, ...] = ()
    """blocks of the operator whose gate is 1 - that of the cell: sigmoid(-a) = 1 - sigmoid(a)"""


OPERATORS: dict[Callable[..., State], Operator] = {
    srn_tanh: Operator("RNN", (0,), {"activations": ["Tanh"]}),
    srn_relu: Operator("RNN", (0,), {"activations": ["Relu"]}),
    lstm: Operator("LSTM", (0, 3, 1, 2), {}),
    gru_reset_after: Operator("GRU", (1, 0, 2), {"linear_before_reset": 1}),
    # The z of Cho et al. (2014) takes the new state, and that of ONNX keeps the old one.
    gru_reset_before: Operator("GRU", (1, 0, 2), {"linear_before_reset": 0}, negated=(0,)),
}
"""The equations of a cell -> the operator. Other cells are a Scan of their equations."""


def operator_of(stack: RecurrentStack) -> Operator | None:
    """Return the operator that computes the layers of a stack; None if there is none."""
    return None if any(stack.zoneout) else OPERATORS.get(stack.cell.step)


def run_lstm_operator(
    stack: RecurrentStack, x: Tensor, lengths: Tensor, state: State, weights: Sequence[Weights]
) -> tuple[Tensor, State]:
    """Run an LSTM as an operator, and any other cell by its equations: ONNX Runtime quantizes neither RNN nor GRU."""
    run_layer = run_operator if stack.cell.step is lstm else scan_layer
    return run_layer(stack, x, lengths, state, weights)


def run_operator(
    stack: RecurrentStack, x: Tensor, lengths: Tensor, state: State, weights: Sequence[Weights]
) -> tuple[Tensor, State]:
    """Run one layer as one operator if there is one, else by the equations, see `rnnexp.export.stack.RunLayer`."""
    operator = operator_of(stack)
    if operator is None:
        return scan_layer(stack, x, lengths, state, weights)
    batch, time, directions, hidden_size = *x.shape[:2], len(weights), stack.hidden_size
    w, r, b, d = (
        torch.stack([_in_order(named[name], operator) for named in weights])
        for name in ("weight_ih", "weight_hh", "bias_ih", "bias_hh")
    )
    attributes = dict(operator.attributes)
    if "activations" in attributes:
        attributes["activations"] = attributes["activations"] * directions
    outputs, *finals = torch.onnx.ops.symbolic_multi_out(
        operator.name,
        [x.transpose(0, 1), w, r, torch.cat([b, d], dim=1), lengths.to(torch.int32), *state],
        attributes | {"hidden_size": hidden_size, "direction": "bidirectional" if directions == 2 else "forward"},
        dtypes=[x.dtype] * (1 + len(state)),
        shapes=[[time, directions, batch, hidden_size], *[[directions, batch, hidden_size]] * len(state)],
        version=OPSET,
    )
    # [time, directions, batch, hidden] -> [batch, time, directions * hidden]
    return outputs.permute(2, 0, 1, 3).flatten(2), tuple(finals)


def _in_order(weight: Tensor, operator: Operator) -> Tensor:
    """Return the rows of a weight in the order of the operator."""
    blocks = weight.chunk(len(operator.order))
    signs = [-1 if place in operator.negated else 1 for place in range(len(blocks))]
    return torch.cat([sign * blocks[place] for sign, place in zip(signs, operator.order, strict=True)])
