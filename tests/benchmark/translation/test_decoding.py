"""Translations of untrained networks are as long as their references."""

from functools import partial

import pytest
import torch

from rnnexp.benchmark.translation.decoding import Decoding
from rnnexp.models import Seq2Seq
from rnnexp.recurrent import RecurrentStack
from rnnexp.text.vocabulary import EOS, PAD
from support.small_task import batch_without_padding


@pytest.mark.parametrize("beam_size", [None, 5])
def test_each_translation_is_as_long_as_its_reference(beam_size: int | None) -> None:
    make_stack = partial(RecurrentStack, cell="gru", hidden_size=8)
    model = Seq2Seq(make_stack, 30, 40, 8)
    batch = batch_without_padding()
    lengths = torch.tensor([11, 3, 5, 11, 8, 4])
    decoding = Decoding(model, [batch], torch.device("cpu"), beam_size)
    tokens = decoding.search(batch._replace(target_lengths=lengths))[:, 0]
    assert (tokens != PAD).sum(dim=1).tolist() == (lengths - 1).tolist()  # EOS counts, BOS does not
    assert (tokens == EOS).sum(dim=1).tolist() == [1] * 6
