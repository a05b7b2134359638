"""The tutorial loop learns, and reads the target only with teacher forcing."""

import math

import pytest
import torch
from torch import Tensor

from rnnexp.benchmark.translation.tutorial_loop import TutorialModel
from rnnexp.text.vocabulary import BOS, EOS

PAIRS = [([5, 6, EOS], [7, 8, EOS]), ([6, 5, EOS], [8, 7, 9, EOS]), ([4, EOS], [9, EOS])]


@pytest.fixture
def model() -> TutorialModel:
    return TutorialModel(10, 11, max_length=3, device=torch.device("cpu"), seed=0, hidden_size=16)


def tensors(pair: tuple[list[int], list[int]]) -> tuple[Tensor, Tensor]:
    return torch.tensor(pair[0]), torch.tensor(pair[1])


def test_the_tutorial_loop_learns(model: TutorialModel) -> None:
    losses = [sum(model.train_on(tensors(pair)) for pair in PAIRS) / len(PAIRS) for _ in range(80)]
    assert losses[0] == pytest.approx(math.log(11), rel=0.2)
    assert sum(losses[-10:]) / 10 < 0.6 * losses[0]


@pytest.mark.parametrize("is_teacher_forced", [True, False])
def test_the_tutorial_loop_learns_through_the_encoder(model: TutorialModel, is_teacher_forced: bool) -> None:
    model.loss(tensors(PAIRS[0]), is_teacher_forced).backward()  # type: ignore[no-untyped-call]
    for network in (model.encoder, model.decoder):
        for name, parameter in network.named_parameters():
            assert parameter.grad is not None, name
            assert parameter.grad.abs().sum() > 0, name
    assert model.encoder.embedding.weight.grad is not None
    read = model.encoder.embedding.weight.grad.abs().sum(dim=1).nonzero().squeeze(1).tolist()
    assert read == sorted(PAIRS[0][0]), "each token of the source counts, and no other"


def test_the_target_is_an_input_only_with_teacher_forcing(model: TutorialModel) -> None:
    model.decoder.eval()
    source, target = tensors(PAIRS[1])
    other = target.clone()
    other[0] = 4  # the reference of the first step is the input of the second
    for is_teacher_forced in (True, False):
        model.decoder.zero_grad()
        model.loss((source, other), is_teacher_forced).backward()  # type: ignore[no-untyped-call]
        gradient = model.decoder.embedding.weight.grad
        assert gradient is not None
        assert gradient[BOS].abs().sum() > 0
        assert (gradient[4].abs().sum() > 0) == is_teacher_forced
