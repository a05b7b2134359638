"""Beam search over a batch of sentences, all hypotheses of all sentences at once."""

from collections.abc import Sequence

import torch
from torch import Tensor

from rnnexp.decoding.ensemble import Ensemble
from rnnexp.decoding.hypotheses import Hypotheses, Limits, require_search, score
from rnnexp.models import Seq2Seq
from rnnexp.text.vocabulary import BOS, EOS, PAD


@torch.no_grad()
def beam_search(
    models: Sequence[Seq2Seq],
    source: Tensor,
    source_lengths: Tensor,
    beam_size: int = 5,
    n_best: int = 1,
    length_penalty: float = 1.0,
    limits: Limits | None = None,
) -> Hypotheses:
    """Translate a batch.

    A sentence has `beam_size` places. At each step the most likely continuations of its open hypotheses take them. A
    hypothesis that ends keeps its place and its score, and the search continues with one place less. A beam of one is
    therefore greedy search, and a beam as wide as the space of translations tries them all.

    A sentence is finished as soon as nothing can change its `n_best`. Every continuation of an open hypothesis with
    log-probability a <= 0 has a log-probability of at most a and, with EOS, at most L = longest + 1 tokens; since the
    length penalty is not negative, its score is at most a / L ** length_penalty. Once this bound for the most likely
    open hypothesis does not exceed the n-th best score, no open hypothesis can enter, and those that ended stay.

    Args:
        models: one, or an ensemble by mean probability, in evaluation mode.
        source: int64 [batch, source_time].
        source_lengths: int64 [batch] on the CPU.
        beam_size: hypotheses per sentence; may exceed the vocabulary.
        n_best: hypotheses to return.
        length_penalty: see Hypotheses.
        limits: of the translations; None for the defaults.

    Returns:
        distinct hypotheses, the best first.

    Raises:
        ValueError: for sizes below 1, more hypotheses than the beam holds, a negative length penalty, and models that
            cannot search together.
    """
    require_search(beam_size, n_best, length_penalty)
    limits = limits or Limits()
    ensemble = Ensemble(models, source, source_lengths, width=beam_size)
    longest = limits.longest(source_lengths).to(source.device)
    max_steps = int(longest.max()) + 1
    batch, places = len(source), torch.arange(beam_size, device=source.device)
    ended = source.new_full((batch, beam_size, max_steps), PAD)
    scores: Tensor | None = None

    # From here on for the sentences that are not finished, and for their open hypotheses:
    sentences = torch.arange(batch, device=source.device)
    last = source.new_full((batch, beam_size), BOS)
    written = last.new_empty(batch, beam_size, 0)
    opened = torch.where(places == 0, 0.0, -torch.inf).expand(batch, -1)  # at first the empty one alone

    for length in range(max_steps):
        log_probs = limits.apply(ensemble.next_log_probs(last), length, longest)
        if scores is None:
            scores = log_probs.new_full((batch, beam_size), -torch.inf)
        vocab_size = log_probs.shape[2]
        opened, index = (opened.unsqueeze(2) + log_probs).flatten(1).topk(beam_size)
        parents, last = index // vocab_size, index % vocab_size
        written = torch.cat([written.gather(1, parents.unsqueeze(2).expand_as(written)), last.unsqueeze(2)], dim=2)

        taken = (scores[sentences] > -torch.inf).sum(dim=1, keepdim=True)
        opened = opened.masked_fill(places >= beam_size - taken, -torch.inf)
        ending = (last == EOS) & (opened > -torch.inf)
        row, hypothesis = ending.nonzero(as_tuple=True)
        place = (taken + ending.cumsum(dim=1) - 1)[row, hypothesis]
        ended[sentences[row], place, : length + 1] = written[row, hypothesis]
        scores[sentences[row], place] = score(opened[row, hypothesis], length + 1, length_penalty)
        opened = opened.masked_fill(ending, -torch.inf)

        bound = score(opened.amax(dim=1), longest + 1, length_penalty)
        unfinished = (bound > scores[sentences].topk(n_best).values[:, -1]).nonzero().squeeze(1)
        if len(unfinished) == 0:
            break
        ensemble.follow(parents[unfinished], unfinished)
        sentences, longest = sentences[unfinished], longest[unfinished]
        last, written, opened = last[unfinished], written[unfinished], opened[unfinished]

    assert scores is not None, "every search takes a step"
    best, place = scores.topk(n_best)
    tokens = ended.gather(1, place.unsqueeze(2).expand(-1, -1, max_steps))
    return Hypotheses(tokens[:, :, : length + 1], best)
