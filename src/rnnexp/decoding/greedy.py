"""Greedy search: the most likely token at each step."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnexp.decoding.ensemble import Ensemble
from rnnexp.decoding.hypotheses import Hypotheses, Limits, require_length_penalty, score
from rnnexp.models import Seq2Seq
from rnnexp.text.vocabulary import BOS, EOS, PAD


@torch.no_grad()
def greedy_search(
    models: Sequence[Seq2Seq],
    source: Tensor,
    source_lengths: Tensor,
    length_penalty: float = 1.0,
    limits: Limits | None = None,
) -> Hypotheses:
    """Translate a batch with greedy search.

    Args:
        models: one model, or several whose probabilities are averaged, in evaluation mode.
        source: int64 [batch, source_time].
        source_lengths: int64 [batch] on the CPU.
        length_penalty: see `Hypotheses`; it changes only the scores.
        limits: the limits of the translations; None for the defaults.

    Returns:
        One hypothesis for each sentence.

    Raises:
        ValueError: for a negative length penalty, and models that cannot be combined.
    """
    require_length_penalty(length_penalty)
    limits = limits or Limits()
    ensemble = Ensemble(models, source, source_lengths, width=1)
    longest = limits.longest(source_lengths).to(source.device)
    last = source.new_full((len(source), 1), BOS)
    ended = torch.zeros_like(last, dtype=torch.bool)
    lengths = torch.zeros_like(last)
    tokens: list[Tensor] = []
    steps: list[Tensor] = []
    for length in range(int(longest.max()) + 1):
        best, token = limits.apply(ensemble.next_log_probs(last), length, longest).max(dim=2)
        steps.append(best.masked_fill(ended, 0))
        tokens.append(token.masked_fill(ended, PAD))
        last = tokens[-1]
        lengths += ~ended
        ended = ended | (last == EOS)
        if ended.all():
            break
    return Hypotheses(torch.stack(tokens, dim=2), score(torch.stack(steps).sum(dim=0), lengths, length_penalty))
