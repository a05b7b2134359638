"""The formula gives the same count as PyTorch's counter."""

from functools import partial

import pytest
import torch
from torch.nn.functional import cross_entropy
from torch.utils.flop_counter import FlopCounterMode

from rnnexp.benchmark.translation.multiply_adds import training_gflop
from rnnexp.data.batches import TranslationBatch
from rnnexp.models import Seq2Seq
from rnnexp.recurrent import RecurrentStack
from rnnexp.tasks.translation.multiply_adds import Work, multiply_adds
from rnnexp.text.vocabulary import PAD
from support.small_task import batch_without_padding


@pytest.mark.parametrize("attention", ["additive", "general", "none"])
@pytest.mark.parametrize("decoder", ["fused", "stepwise"])
@pytest.mark.parametrize(("cell", "bidirectional", "num_layers"), [("gru", True, 1), ("lstm", False, 2)])
def test_the_formula_agrees_with_the_counter_of_torch(
    cell: str, bidirectional: bool, num_layers: int, decoder: str, attention: str
) -> None:
    stack = {"cell": cell, "hidden_size": 12, "num_layers": num_layers, "bidirectional": bidirectional}
    make_stack = partial(RecurrentStack, **stack | {"backend": "reference"})  # type: ignore[arg-type]
    model = Seq2Seq(make_stack, 30, 40, 10, decoder=decoder, attention=attention, tied_embeddings="none")
    batch = batch_without_padding()
    forward = 2 * sum(multiply_adds(model, Work.of(batch)).values())
    with FlopCounterMode(display=False) as counter:
        logits = model(batch.source, batch.source_lengths, batch.target[:, :-1])
    assert forward == pytest.approx(counter.get_total_flops(), rel=0.001)
    with FlopCounterMode(display=False) as counter:
        logits = model(batch.source, batch.source_lengths, batch.target[:, :-1])
        loss = cross_entropy(logits.flatten(0, 1), batch.target[:, 1:].flatten(), ignore_index=PAD)
        loss.backward()  # type: ignore[no-untyped-call]
    # The weights of attention=none have no gradient.
    gflop = training_gflop(model, [batch])
    assert 1e9 * gflop == pytest.approx(counter.get_total_flops(), rel=0.05 if attention == "none" else 0.02)


def test_padding_is_not_counted() -> None:
    lengths = torch.tensor([3, 2]), torch.tensor([5, 4])
    batch = TranslationBatch(torch.zeros(2, 3), lengths[0], torch.zeros(2, 5), lengths[1], torch.arange(2))
    assert Work.of(batch) == Work(source=5, target=7, pairs=3 * 4 + 2 * 3, sentences=2)
