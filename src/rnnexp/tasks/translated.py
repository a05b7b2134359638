"""What was made of the sentences of a split, from all ranks and in the corpus' order."""

from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import torch


class Translation(NamedTuple):
    """What became of one sentence pair."""

    pair: int
    """which pair of the split"""
    text: str
    """the translation, detokenised"""
    score: float
    """of the search that found it, see `rnnexp.decoding.Hypotheses`"""
    loss: float
    """of the reference: nats, summed over its tokens and EOS"""
    num_source_tokens: int
    """without EOS"""
    num_target_tokens: int
    """of the reference, with EOS"""


class TranslatedSplit:
    """Gathers translations batch by batch; each pair counts once, however many ranks have seen it."""

    def __init__(self) -> None:
        self._here: list[Translation] = []

    def extend(self, translations: Iterable[Translation]) -> None:
        """Adds those of a batch."""
        self._here += translations

    def finish(self) -> Sequence[Translation]:
        """Those of all ranks by rising number of the pair; begins anew."""
        here, self._here = self._here, []
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            everywhere: list[Any] = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(everywhere, here)
            here = [translation for part in everywhere for translation in part]
        return [each for _pair, each in sorted({each.pair: each for each in here}.items())]
