"""Networks that get a sequence step by step."""

from functools import partial

import pytest
import torch

from rnnexp.models import SequenceClassifier, StepwiseNetwork
from rnnexp.models.classifier import POOLINGS
from rnnexp.models.stepwise import Stream
from rnnexp.recurrent import CELLS, RecurrentStack


@pytest.mark.parametrize("cell", CELLS)
def test_steps_have_the_outputs_of_the_whole_sequence(cell: str) -> None:
    network = StepwiseNetwork(partial(RecurrentStack, cell, hidden_size=6, num_layers=2), 3, 4).double().eval()
    x, stream, steps = torch.randn(2, 7, 3, dtype=torch.float64), Stream(), []
    with torch.no_grad():
        for time in range(7):
            y, stream = network.step(x[:, time], stream)
            steps.append(y)
        torch.testing.assert_close(torch.stack(steps, dim=1), network(x))
    assert stream.num_steps == 7


@pytest.mark.parametrize("pooling", POOLINGS)
@pytest.mark.parametrize("options", [{}, {"layer_norm": True, "residual": True}, {"learned_initial_state": True}])
def test_a_classifier_pools_the_steps_so_far(pooling: str, options: dict[str, bool]) -> None:
    make_stack = partial(RecurrentStack, "lstm", hidden_size=6, num_layers=2, **options)
    network = SequenceClassifier(make_stack, 3, 4, pooling).double().eval()
    x, stream = torch.randn(2, 7, 3, dtype=torch.float64), Stream()
    with torch.no_grad():
        for time in range(7):
            y, stream = network.step(x[:, time], stream)
            torch.testing.assert_close(y, network(x[:, : time + 1]))


def test_two_directions_have_no_steps() -> None:
    network = StepwiseNetwork(partial(RecurrentStack, "srn", hidden_size=6, bidirectional=True), 3, 4)
    with pytest.raises(ValueError, match="bidirectional=false"):
        network.step(torch.randn(2, 3), Stream())
