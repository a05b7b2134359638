"""Scheduled sampling: a random choice, in training, between tokens of the target and those of the decoder."""

from collections.abc import Callable

import torch
from torch import Tensor

from rnnexp.core.validation import lookup


def by_sentence(target_in: Tensor) -> Tensor:
    """Draw one number for all tokens of a sentence, as in the translation tutorial of PyTorch."""
    return torch.rand(len(target_in), 1, device=target_in.device).expand_as(target_in)


def by_token(target_in: Tensor) -> Tensor:
    """Draw a number for each token (Bengio et al., 2015, arXiv:1506.03099)."""
    return torch.rand(target_in.shape, device=target_in.device)


SAMPLINGS: dict[str, Callable[[Tensor], Tensor]] = {"sentence": by_sentence, "token": by_token}


def draw_teacher_mask(target_in: Tensor, teacher_forcing: float, sampling: str) -> Tensor | None:
    """Draw the mask of the tokens that are taken from the target.

    Args:
        target_in: int64 [batch, target_time].
        teacher_forcing: probability of taking a token. BOS, the first, is always taken.
        sampling: `sentence` takes all tokens of a sentence or none, `token` draws for each.

    Returns:
        bool [batch, target_time]; None if all are taken.

    Raises:
        ValueError: for a probability outside [0, 1] and an unknown sampling.
    """
    draw = lookup("sampling", sampling, SAMPLINGS)
    if not 0 <= teacher_forcing <= 1:
        raise ValueError(f"teacher_forcing must lie in [0, 1], not {teacher_forcing!r}")
    if teacher_forcing == 1:
        return None
    teacher_mask = draw(target_in) < teacher_forcing
    teacher_mask[:, 0] = True
    return teacher_mask
