"""The distribution of one or several models over the next token."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from rnnexp.models import Seq2Seq


class Ensemble:
    """Models that translate a batch of sentences together, each with its own state.

    The distribution is the mean of the models' probabilities, not of their log-probabilities, which would not sum to 1.

    Args:
        models: one or more models with the same target vocabulary, in evaluation mode.
        source: int64 [batch, source_time].
        source_lengths: int64 [batch] on the CPU.
        width: hypotheses per sentence.

    Raises:
        ValueError: for no models, one in training mode, or target vocabularies of different sizes.
    """

    def __init__(self, models: Sequence[Seq2Seq], source: Tensor, source_lengths: Tensor, width: int) -> None:
        if not models:
            raise ValueError("an ensemble needs at least one model")
        if any(model.training for model in models):
            raise ValueError("a model in training mode drops features at random: call model.eval() before the search")
        sizes = [model.decoder.output.out_features for model in models]
        if len(set(sizes)) > 1:
            raise ValueError(f"models of one ensemble need one target vocabulary, not {sizes} tokens")
        self.models, self.width = models, width
        outputs = [model.encode(source, source_lengths) for model in models]
        self.encoded = [encoded for encoded, _ in outputs]
        self.states = [tuple(tensor.repeat_interleave(width, dim=0) for tensor in state) for _, state in outputs]

    def next_log_probs(self, tokens: Tensor) -> Tensor:
        """Take one step, and return the log-probabilities of the next tokens.

        Args:
            tokens: the last tokens, int64 [batch, width].

        Returns:
            [batch, width, vocab].
        """
        distributions = []
        for index, model in enumerate(self.models):
            logits, self.states[index], _ = model.step(tokens.flatten(), self.states[index], self.encoded[index])
            precise = torch.promote_types(logits.dtype, torch.float32)
            distributions.append(logits.log_softmax(dim=1, dtype=precise))
        if len(distributions) == 1:
            log_probs = distributions[0]
        else:
            log_probs = torch.stack(distributions).logsumexp(dim=0) - math.log(len(distributions))
        return log_probs.view(len(tokens), self.width, -1)

    def follow(self, parents: Tensor, sentences: Tensor) -> None:
        """Keep the states of some sentences, and reorder those of their hypotheses.

        Args:
            parents: the hypotheses to keep of each sentence, in order, int64 [kept, width].
            sentences: the sentences to keep, int64 [kept].
        """
        rows = (sentences.unsqueeze(1) * self.width + parents).flatten()
        self.states = [tuple(tensor.index_select(0, rows) for tensor in state) for state in self.states]
        if len(sentences) < len(self.encoded[0].mask):
            self.encoded = [encoded.select(sentences) for encoded in self.encoded]
