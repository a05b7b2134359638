"""The timed calls compute what the network computes."""

from collections.abc import Callable
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from rnnexp.data.batches import LabeledSequences
from rnnexp.models.classifier import POOLINGS, SequenceClassifier
from rnnexp.models.stepwise import SequenceNetwork, StepwiseNetwork
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.examples import spread
from rnnexp.tasks.workload import Workload, of_sequences


def workload_of(network: Callable[..., SequenceNetwork], inputs: Tensor, **options: Any) -> Workload:
    """Return the workload of a small network on sequences of 5 and 3 steps."""
    make_stack = partial(RecurrentStack, **({"cell": "lstm", "hidden_size": 4} | options))
    model = network(make_stack, 2, 3).eval()
    lengths = torch.tensor([5, 3])
    task: Any = SimpleNamespace(model=model, stack=model.stack)
    data: Any = SimpleNamespace(
        data_info={"num_test": 2},
        test_dataloader=lambda: [LabeledSequences(inputs, torch.zeros(2, dtype=torch.long), lengths)],
    )
    return of_sequences(task, data, model)


@pytest.fixture
def inputs() -> Tensor:
    return torch.randn(2, 5, 2, generator=torch.Generator().manual_seed(0))


@pytest.mark.parametrize("pooling", POOLINGS)
@torch.inference_mode()
def test_steps_with_carried_state_end_where_the_whole_sequence_ends(inputs: Tensor, pooling: str) -> None:
    workload = workload_of(partial(SequenceClassifier, pooling=pooling), inputs)
    steps = workload.calls["step_latency"]
    assert len(steps) == 5 + 3
    answers = [step() for step in steps]
    for call, last in zip(workload.calls["latency"], (answers[4], answers[7]), strict=True):
        torch.testing.assert_close(call(), last)
    assert workload.lengths == [5, 3]
    torch.testing.assert_close(steps[0](), answers[0])


@torch.inference_mode()
def test_a_batch_repeats_the_samples_of_a_small_test_set(inputs: Tensor) -> None:
    workload = workload_of(StepwiseNetwork, inputs)
    logits = workload.batches[16]()
    assert logits.shape == (16, 5, 3)
    torch.testing.assert_close(logits[2], logits[0])
    # Gates of the LSTM, and the head at each step.
    assert workload.flops_per_step == 2 * (4 * 4 * (2 + 4) + 4 * 3)


@torch.inference_mode()
def test_the_linear_layers_of_a_cell_are_counted_once(inputs: Tensor) -> None:
    workload = workload_of(StepwiseNetwork, inputs, cell="support.own_cells.DecayCell")
    assert workload.flops_per_step == 2 * (4 * (2 + 4) + 4 * 3)


def test_both_directions_have_no_single_step(inputs: Tensor) -> None:
    workload = workload_of(SequenceClassifier, inputs, bidirectional=True)
    assert set(workload.calls) == {"latency"}
    assert set(workload.reasons) == {"step_latency"}


def test_samples_are_spread_over_the_test_set() -> None:
    assert spread(3, 256) == [0, 1, 2]
    assert len(spread(10_000, 256)) == 256
    assert spread(10_000, 256)[-1] > 9_900
