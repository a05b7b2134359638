"""Beam search over a batch of sentences."""

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
    """Translate a batch with beam search.

    A sentence has `beam_size` slots. At each step the most likely continuations of its open hypotheses fill them. A
    hypothesis that ends keeps its slot and its score, and the search continues with one slot less. A beam of size 1 is
    therefore greedy search, and a beam with a slot for every translation is an exhaustive search.

    A sentence is finished as soon as its `n_best` hypotheses are final. Every continuation of an open hypothesis with
    log-probability a <= 0 has a log-probability of at most a and, with EOS, at most L = longest + 1 tokens; since the
    length penalty is not negative, its score is at most a / L ** length_penalty. Once this bound for the most likely
    open hypothesis does not exceed the n-th best score, no open hypothesis can be among the `n_best`.

    Args:
        models: one model, or several whose probabilities are averaged, in evaluation mode.
        source: int64 [batch, source_time].
        source_lengths: int64 [batch] on the CPU.
        beam_size: hypotheses per sentence; may exceed the vocabulary.
        n_best: hypotheses to return.
        length_penalty: see `Hypotheses`.
        limits: the limits of the translations; None for the defaults.

    Returns:
        Distinct hypotheses of each sentence, the best first.

    Raises:
        ValueError: for sizes below 1, `n_best` above `beam_size`, a negative length penalty, and models that cannot be
            combined.
    """
    require_search(beam_size, n_best, length_penalty)
    limits = limits or Limits()
    ensemble = Ensemble(models, source, source_lengths, width=beam_size)
    longest = limits.longest(source_lengths).to(source.device)
    max_steps = int(longest.max()) + 1
    batch, slots = len(source), torch.arange(beam_size, device=source.device)
    ended = source.new_full((batch, beam_size, max_steps), PAD)
    scores: Tensor | None = None

    # The following tensors have a row for each unfinished sentence.
    sentences = torch.arange(batch, device=source.device)
    last = source.new_full((batch, beam_size), BOS)
    prefixes = last.new_empty(batch, beam_size, 0)
    open_log_probs = torch.where(slots == 0, 0.0, -torch.inf).expand(batch, -1)  # at first only the empty one

    for length in range(max_steps):
        log_probs = limits.apply(ensemble.next_log_probs(last), length, longest)
        if scores is None:
            scores = log_probs.new_full((batch, beam_size), -torch.inf)
        vocab_size = log_probs.shape[2]
        open_log_probs, index = (open_log_probs.unsqueeze(2) + log_probs).flatten(1).topk(beam_size)
        parents, last = index // vocab_size, index % vocab_size
        prefixes = torch.cat([prefixes.gather(1, parents.unsqueeze(2).expand_as(prefixes)), last.unsqueeze(2)], dim=2)

        num_ended = (scores[sentences] > -torch.inf).sum(dim=1, keepdim=True)
        open_log_probs = open_log_probs.masked_fill(slots >= beam_size - num_ended, -torch.inf)
        ending = (last == EOS) & (open_log_probs > -torch.inf)
        row, hypothesis = ending.nonzero(as_tuple=True)
        slot = (num_ended + ending.cumsum(dim=1) - 1)[row, hypothesis]
        ended[sentences[row], slot, : length + 1] = prefixes[row, hypothesis]
        scores[sentences[row], slot] = score(open_log_probs[row, hypothesis], length + 1, length_penalty)
        open_log_probs = open_log_probs.masked_fill(ending, -torch.inf)

        bound = score(open_log_probs.amax(dim=1), longest + 1, length_penalty)
        unfinished = (bound > scores[sentences].topk(n_best).values[:, -1]).nonzero().squeeze(1)
        if len(unfinished) == 0:
            break
        ensemble.follow(parents[unfinished], unfinished)
        sentences, longest = sentences[unfinished], longest[unfinished]
        last, prefixes, open_log_probs = last[unfinished], prefixes[unfinished], open_log_probs[unfinished]

    assert scores is not None, "every search takes a step"
    best, slot = scores.topk(n_best)
    tokens = ended.gather(1, slot.unsqueeze(2).expand(-1, -1, max_steps))
    return Hypotheses(tokens[:, :, : length + 1], best)
