"""The bridges between the encoder's state and the first state of the decoder."""

from functools import partial

import pytest
import torch
from torch import Tensor

from rnnexp.models.bridge import BRIDGES, Bridge
from rnnexp.recurrent import RecurrentStack
from support.cells import STATES

LENGTHS = torch.tensor([5, 1, 3])
ENCODER_HIDDEN, DECODER_HIDDEN = 3, 4


def crossed(
    kind: str, encoder_cell: str, encoder_layers: int, num_layers: int, num_states: int
) -> tuple[Bridge, Tensor, tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Return the bridge, its input (annotations, final state), and its output."""
    torch.manual_seed(0)
    encoder = RecurrentStack(encoder_cell, 2, ENCODER_HIDDEN, encoder_layers, bidirectional=True).double()
    bridge = BRIDGES[kind](encoder, num_layers, DECODER_HIDDEN, num_states).double()
    annotations, final = encoder(torch.randn(3, 5, 2, dtype=torch.double), LENGTHS)
    mask = torch.arange(5) < LENGTHS.unsqueeze(1)
    return bridge, annotations, final, bridge(annotations, mask, final)


@pytest.mark.parametrize("num_states", [1, 2])
@pytest.mark.parametrize(("encoder_layers", "num_layers"), [(1, 1), (2, 2), (1, 3), (3, 1)])
@pytest.mark.parametrize("encoder_cell", STATES)
@pytest.mark.parametrize("kind", BRIDGES)
def test_every_combination_of_cells_and_depths(
    kind: str, encoder_cell: str, encoder_layers: int, num_layers: int, num_states: int
) -> None:
    bridge, annotations, final, state = crossed(kind, encoder_cell, encoder_layers, num_layers, num_states)
    assert [tensor.shape for tensor in state] == [(3, DECODER_HIDDEN)] * (num_layers * num_states)
    assert all(tensor.is_contiguous() for tensor in state)
    for layer in range(num_layers):
        for which in range(num_states):
            tensor = state[layer * num_states + which]
            if kind == "zero":
                assert (tensor == 0).all()
                continue
            rows = slice(layer * DECODER_HIDDEN, (layer + 1) * DECODER_HIDDEN)
            weight, bias = bridge.projections[which].weight[rows], bridge.projections[which].bias[rows]
            for sentence, length in enumerate(LENGTHS):
                if kind == "final":
                    crossing = final[min(which, len(final) - 1)][:, sentence].flatten()
                else:
                    crossing = annotations[sentence, :length].mean(dim=0)
                torch.testing.assert_close(tensor[sentence], torch.tanh(weight @ crossing + bias))


def test_final_states_carry_every_layer_and_direction_of_h_and_c() -> None:
    make_encoder = partial(RecurrentStack, "lstm", 2, ENCODER_HIDDEN, 2, bidirectional=True)
    torch.manual_seed(0)
    bridge = BRIDGES["final"](make_encoder(), 1, DECODER_HIDDEN, 2)
    h, c = (torch.zeros(2, 1, 2 * ENCODER_HIDDEN, requires_grad=True) for _ in range(2))
    decoder_h, decoder_c = bridge(torch.zeros(1, 5, 2 * ENCODER_HIDDEN), torch.ones(1, 5, dtype=torch.bool), (h, c))
    into_h = torch.autograd.grad(decoder_h.sum(), (h, c), allow_unused=True)
    into_c = torch.autograd.grad(decoder_c.sum(), (h, c), allow_unused=True)
    assert into_h[1] is None
    assert into_c[0] is None
    assert (into_h[0] != 0).all()
    assert (into_c[1] != 0).all()
