"""The translations of a split, gathered from all ranks, and scores of its parts."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnexp.metrics.translation import agreement, exact_matches, length_bucket, share_by


class Translation(NamedTuple):
    """The translation of one sentence pair."""

    pair: int
    """the index of the pair in the split"""
    text: str
    """the translation, detokenized"""
    score: float
    """from the search that found it, see `rnnexp.decoding.Hypotheses`"""
    loss: float
    """loss of the reference in nats, summed over its tokens and EOS"""
    num_source_tokens: int
    """without EOS"""
    num_target_tokens: int
    """tokens of the reference, with EOS"""


class TranslatedSplit:
    """A collection of translations, batch by batch; a pair that several ranks have translated counts once."""

    def __init__(self) -> None:
        self._here: list[Translation] = []

    def extend(self, translations: Iterable[Translation]) -> None:
        """Add the translations of a batch."""
        self._here += translations

    def finish(self) -> Sequence[Translation]:
        """Return the translations of all ranks in the order of the corpus, and empty the collection."""
        here, self._here = self._here, []
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            everywhere: list[Any] = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(everywhere, here)
            here = [translation for part in everywhere for translation in part]
        return [each for _pair, each in sorted({each.pair: each for each in here}.items())]


def spread_evenly(indices: Tensor, number: int, wanted: int) -> Tensor:
    """Return bool [batch]: which indices, int64 [batch], are among `wanted` that are spread evenly over `number`."""
    if wanted >= number:
        return torch.ones_like(indices, dtype=torch.bool)
    return (indices * wanted).floor_divide(number) != ((indices - 1) * wanted).floor_divide(number)


def scores_by_length(translations: Sequence[Translation], references: Sequence[str]) -> dict[str, float]:
    """Return `exact_match_length/<bucket>`, from 0 to 1, and `loss_length/<bucket>`, nats per target token.

    Buckets count the tokens of the source.
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
    """Return `exact_match_phenomenon/<name>`, `acc_phenomenon/<name>` and `acc_distance/<words>`, from 0 to 1.

    The latter two score only the word that agrees.

    Args:
        tags: the split's tags: `phenomenon`, `distance` and `place`, which word of the reference agrees.
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
    """Return `what/<group>` -> the share of the group that is right."""
    return {f"{what}/{group}": share for group, (share, _number) in share_by(groups, right).items()}
