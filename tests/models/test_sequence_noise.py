"""Dropout of features on sequences, and of whole words."""

import pytest
import torch

from rnnexp.models.dropout import WordDropout
from rnnexp.recurrent.dropout import SequenceDropout
from rnnexp.text.vocabulary import SPECIAL_TOKENS, UNK


@pytest.mark.parametrize("time_tied", [False, True])
def test_features_are_dropped_and_the_rest_scaled(time_tied: bool) -> None:
    torch.manual_seed(0)
    dropped = SequenceDropout(0.25, time_tied)(torch.ones(8, 50, 40))
    torch.testing.assert_close(dropped.unique(), torch.tensor([0, 1 / 0.75]))
    assert 0.15 < (dropped == 0).float().mean() < 0.35
    assert bool((dropped == dropped[:, :1]).all()) == time_tied
    assert not torch.equal(dropped[0], dropped[1])


def test_a_given_mask_is_used() -> None:
    dropout = SequenceDropout(0.5, time_tied=False)
    x = torch.randn(2, 3, 4)
    mask = dropout.mask(x, 3, 4)
    assert mask is not None
    torch.testing.assert_close(dropout(x, mask), x * mask)


def test_words_become_unknown_and_special_tokens_are_kept() -> None:
    torch.manual_seed(0)
    tokens = torch.arange(100).repeat(50, 1)
    dropped = WordDropout(0.3)(tokens)
    marks = len(SPECIAL_TOKENS)
    assert torch.equal(dropped[:, :marks], tokens[:, :marks])
    changed = dropped != tokens
    assert (dropped[changed] == UNK).all()
    assert 0.25 < changed[:, marks:].float().mean() < 0.35


def test_nothing_is_dropped_outside_training() -> None:
    features, words = SequenceDropout(0.5, time_tied=False).eval(), WordDropout(0.5).eval()
    x, tokens = torch.randn(2, 3, 4), torch.arange(20).view(2, 10)
    assert torch.equal(features(x), x)
    assert torch.equal(words(tokens), tokens)


def test_probabilities_are_checked() -> None:
    with pytest.raises(ValueError, match=r"^dropout must lie in \[0, 1\), not 1$"):
        SequenceDropout(1, time_tied=False)
    with pytest.raises(ValueError, match=r"^word_dropout must lie in \[0, 1\), not -0.1$"):
        WordDropout(-0.1)
