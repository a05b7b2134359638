"""rnnexp's stepwise decoder computes the network of JoeyNMT with its weights."""

from functools import partial

import pytest
import torch

from rnnexp.benchmark.translation.peers.weights import take_weights
from rnnexp.models import Seq2Seq
from rnnexp.recurrent import RecurrentStack
from support.joeynmt_network import JoeyNetwork


@pytest.mark.parametrize("layers", [1, 2])
def test_the_logits_are_those_of_joeynmt(layers: int) -> None:
    torch.manual_seed(0)
    theirs = JoeyNetwork(30, 40, size=6, layers=layers).double()
    make_stack = partial(RecurrentStack, cell="gru", hidden_size=6, num_layers=layers, bidirectional=True)
    make_decoder = partial(RecurrentStack, cell="gru", hidden_size=6)
    ours = Seq2Seq(make_stack, 30, 40, 6, make_decoder, decoder="stepwise", tied_embeddings="none").double()
    for parameter in ours.parameters():
        torch.nn.init.normal_(parameter)  # no weight is zero by chance
    take_weights(ours, theirs.state_dict())
    source, target_in = torch.randint(0, 30, (5, 7)), torch.randint(0, 40, (5, 4))
    logits = ours(source, torch.full((5,), 7), target_in)
    exchange = torch.tensor([1, 0, *range(2, 40)])  # the ids of PAD and UNK
    expected = theirs(exchange[source], exchange[target_in])[:, :, exchange]
    torch.testing.assert_close(logits, expected)
