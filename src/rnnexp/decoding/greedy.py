"""Greedy search: the most likely token at each step."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnexp.decoding.ensemble import Ensemble
from rnnexp.decoding.hypotheses import Hypotheses, Limits, require_length_penalty, score
from rnnexp.models import Seq2Seq
from rnnexp.text.vocabulary import BOS, EOS, PAD

RUNNING_SHARE = 0.75
"""Finished sentences are removed when at most this share still runs: each removal copies what the others attend to."""


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
    batch, max_steps = len(source), int(longest.max()) + 1
    tokens = source.new_full((batch, 1, max_steps), PAD)
    sums: Tensor | None = None

    # The following tensors have a row for each sentence that is still computed.
    sentences = torch.arange(batch, device=source.device)
    last = source.new_full((batch, 1), BOS)
    ended = torch.zeros_like(last, dtype=torch.bool)
    for length in range(max_steps):
        best, token = limits.apply(ensemble.next_log_probs(last), length, longest).max(dim=2)
        if sums is None:
            sums = torch.zeros_like(best)
        sums[sentences] += best.masked_fill(ended, 0)
        last = token.masked_fill(ended, PAD)
        tokens[sentences, :, length] = last
        ended = ended | (last == EOS)
        running = (~ended[:, 0]).nonzero().squeeze(1)
        if len(running) == 0:
            break
        if len(running) <= RUNNING_SHARE * len(sentences):
            ensemble.follow(torch.zeros_like(last[running]), running)
            sentences, longest, last, ended = sentences[running], longest[running], last[running], ended[running]
    assert sums is not None, "every search takes a step"
    lengths = (tokens != PAD).sum(dim=2)
    return Hypotheses(tokens[:, :, : length + 1], score(sums, lengths, length_penalty))
