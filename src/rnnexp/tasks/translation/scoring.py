"""What was made of the sentences of a split, from all ranks and in the corpus' order, and how good parts of it are."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnexp.metrics.translation import agreement, exact_matches, length_bucket, share_by


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


def spread_evenly(indices: Tensor, number: int, wanted: int) -> Tensor:
    """Which of the indices, int64 [batch], are among `wanted` that lie evenly over `number`: bool [batch]."""
    if wanted >= number:
        return torch.ones_like(indices, dtype=torch.bool)
    return (indices * wanted).floor_divide(number) != ((indices - 1) * wanted).floor_divide(number)


def scores_by_length(translations: Sequence[Translation], references: Sequence[str]) -> dict[str, float]:
    """`exact_match_length/<bucket>`, from 0 to 1, and `loss_length/<bucket>`, nats per target token.

    Buckets are of the source's tokens.
    """
    right = exact_matches([each.text for each in translations], references)
    buckets = [length_bucket(each.num_source_tokens) for each in translations]
    scores = shares("exact_match_length", buckets, right)
    for bucket in dict.fromkeys(buckets):
        members = [each for each, its_own in zip(translations, buckets, strict=True) if its_own == bucket]
        num_tokens = sum(each.num_target_tokens for each in members)
        scores[f"loss_length/{bucket}"] = sum(each.loss for each in members) / num_tokens
    return scores


def scores_by_phenomenon(
    translations: Sequence[Translation], references: Sequence[str], tags: Mapping[str, Sequence[Any]]
) -> dict[str, float]:
    """`exact_match_phenomenon/<name>`, `acc_phenomenon/<name>` and `acc_distance/<words>`, from 0 to 1.

    The latter two ask only for the word that agrees.

    Args:
        tags: of the split: `phenomenon`, `distance` and `place`, which word of the reference agrees.
    """
    texts = [each.text for each in translations]
    phenomena, distances, places = (
        [tags[name][each.pair] for each in translations] for name in ("phenomenon", "distance", "place")
    )
    agrees = agreement(texts, references, places)
    return {
        **shares("exact_match_phenomenon", phenomena, exact_matches(texts, references)),
        **shares("acc_phenomenon", phenomena, agrees),
        **shares("acc_distance", [f"{distance:02d}" for distance in distances], agrees),
    }


def shares(what: str, groups: Sequence[str], right: Sequence[bool]) -> dict[str, float]:
    """`what/<group>` -> the share of each group that is right."""
    return {f"{what}/{group}": share for group, (share, _number) in share_by(groups, right).items()}
