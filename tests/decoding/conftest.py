"""Tiny translation networks with random weights, and sentences of several lengths."""

from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from rnnexp.models import Seq2Seq
from rnnexp.recurrent import RecurrentStack
from rnnexp.text.vocabulary import EOS

SOURCE_VOCAB = 9

MakeModel = Callable[..., Seq2Seq]
MakeSource = Callable[..., tuple[Tensor, Tensor]]


@pytest.fixture
def make_model() -> MakeModel:
    def make(vocab_size: int = 6, seed: int = 0, cell: str = "gru", spread: float = 1.5, **options: Any) -> Seq2Seq:
        torch.manual_seed(seed)
        make_stack = partial(RecurrentStack, cell, hidden_size=5, num_layers=2, bidirectional=True)
        model = Seq2Seq(make_stack, SOURCE_VOCAB, vocab_size, embedding_size=4, **options).double().eval()
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=spread)
        with torch.no_grad():
            model.decoder.output.bias[EOS] = 2.0  # some sentences end early, some late, some only at the length limit
        return model

    return make


@pytest.fixture
def make_source() -> MakeSource:
    def make(batch: int = 8, source_time: int = 6) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(2)
        source = torch.randint(4, SOURCE_VOCAB, (batch, source_time), generator=generator)
        lengths = torch.randint(1, source_time + 1, (batch,), generator=generator)
        return source.masked_fill(torch.arange(source_time) >= lengths.unsqueeze(1), 0), lengths

    return make
