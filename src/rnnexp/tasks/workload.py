"""The calls that are timed when the cost of inference is measured: a trained network on samples of the test set.

The row of a task in the registry names the function that makes its `Workload`.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from rnnexp.data.base import DataModule
from rnnexp.models.stepwise import StepwiseNetwork, Stream
from rnnexp.tasks.base import Task, linear_weights_outside
from rnnexp.tasks.examples import read_inputs, spread
from rnnexp.tasks.inference_record import BATCH_SIZES

NUM_SAMPLES = 256
"""Samples of the test set on which calls are timed, spread evenly over it."""
MOST_STEPS = 1024
"""Steps of these samples that are timed one by one."""
BIDIRECTIONAL = "a network that reads in both directions needs the whole sequence"


@dataclass(frozen=True)
class Workload:
    """The calls of a network that are timed, and what is known without timing.

    Args:
        calls: name of `rnnexp.tasks.inference_record.LATENCIES` -> calls on one sample or one step each. With
            `counts_words` a call returns the number of words that it made.
        batches: batch size -> a call on as many samples.
        lengths: the length of each sample.
        unit: the unit of the lengths: `steps`.
        flops_per_step: floating-point operations of one step of one sample, two per multiply-add of matrix products.
        counts_words: whether calls make words.
        reasons: names of numbers that this network does not have -> why.
    """

    calls: Mapping[str, Sequence[Callable[[], Any]]]
    batches: Mapping[int, Callable[[], Any]]
    lengths: Sequence[int]
    unit: str
    flops_per_step: int | None
    counts_words: bool = False
    reasons: Mapping[str, str] = field(default_factory=dict)

    def describe_samples(self) -> dict[str, Any]:
        """Return the number of samples, and their shortest, median and longest length, for the record."""
        lengths = {"shortest": min(self.lengths), "median": median(self.lengths), "longest": max(self.lengths)}
        return {"num_samples": len(self.lengths), "unit": self.unit, **lengths}


def of_sequences(task: Task, datamodule: DataModule, network: nn.Module) -> Workload:
    """Return the workload of a network over sequences of features: whole sequences, and single steps.

    A step gets the state after the steps before it. It includes the head of the network, which answers at each step.

    Args:
        task: the trained task, on its device and in its precision.
        datamodule: its data, whose batches have `inputs` and `lengths`.
        network: the network of the task, or what stands in for it.
    """
    model: Any = task.model
    device = next(model.parameters()).device
    # The graphs of an export have no parameters, and compute in 32 bits.
    dtype = next((weight.dtype for weight in network.parameters()), torch.float32)
    num_test: Any = datamodule.data_info["num_test"]
    inputs = read_inputs(datamodule, spread(num_test, NUM_SAMPLES))
    samples = [sample.to(device, dtype) for sample in inputs]
    calls: dict[str, Sequence[Callable[[], Any]]] = {
        "latency": [partial(network, sample.unsqueeze(0)) for sample in samples]
    }
    reasons = {}
    if task.stack.bidirectional:
        reasons["step_latency"] = BIDIRECTIONAL
    else:
        stream = _Stream(network, samples)
        calls["step_latency"] = [stream.advance] * stream.num_steps
    head = linear_weights_outside(task.stack, model) if isinstance(model, StepwiseNetwork) else 0
    return Workload(
        calls,
        {size: partial(network, *_batch(samples, size)) for size in BATCH_SIZES},
        [len(sample) for sample in samples],
        "steps",
        2 * (task.stack.multiply_adds_per_step + head),
        reasons=reasons,
    )


def _batch(samples: Sequence[Tensor], size: int) -> tuple[Tensor, Tensor | None]:
    """Return inputs [size, time, features] and lengths, None if they are equal. A small test set is repeated."""
    chosen = [samples[number % len(samples)] for number in range(size)]
    lengths = torch.tensor([len(sample) for sample in chosen])
    return pad_sequence(chosen, batch_first=True), None if (lengths == lengths[0]).all() else lengths


class _Stream:
    """Sequences that a network is given step by step, one after the other.

    Args:
        model: the network.
        samples: the sequences, [time, features] each.
    """

    def __init__(self, model: Any, samples: Sequence[Tensor]) -> None:  # noqa: ANN401 (a network with `step`)
        self._model = model
        steps = [(step.unsqueeze(0), place == 0) for sample in samples for place, step in enumerate(sample)]
        self._steps = steps[:MOST_STEPS]
        self._next = 0
        self._carried = Stream()

    @property
    def num_steps(self) -> int:
        """The number of different steps."""
        return len(self._steps)

    def advance(self) -> Tensor:
        """Return the network's answer after the next step."""
        x, is_first = self._steps[self._next]
        self._next = (self._next + 1) % len(self._steps)
        answer: Tensor
        answer, self._carried = self._model.step(x, Stream() if is_first else self._carried)
        return answer
