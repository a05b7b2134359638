"""The translations of a split, gathered from all ranks, and their scores by length and by phenomenon."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor

from rnnexp.tasks.translation.metrics import agreement, exact_matches, length_bucket, share_by


class Translation(NamedTuple):
    """The translation of one sentence pair."""

    pair: int
    """the index of the pair in the split"""
    text: str
    """the translation, detokenized"""
    score: float
    """the score of the search, see `rnnexp.decoding.Hypotheses`"""
    loss: float
    """loss of the reference in nats, summed over its tokens and EOS"""
    num_source_tokens: int
    """without EOS"""
    num_target_tokens: int
    """tokens of the reference, with EOS"""


class TranslatedSplit:
    """A collection of the translations of a split; a pair that several ranks have translated counts once."""

    def __init__(self) -> None:
        self._translations: list[Translation] = []

    def extend(self, translations: Iterable[Translation]) -> None:
        """Add the translations of a batch."""
        self._translations += translations

    def finish(self) -> Sequence[Translation]:
        """Return the translations of all ranks in the order of the corpus, and empty the collection."""
        translations, self._translations = self._translations, []
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            parts: list[Any] = [None] * torch.distributed.get_world_size()
            torch.distributed.all_gather_object(parts, translations)
            translations = [translation for part in parts for translation in part]
        return [each for _pair, each in sorted({each.pair: each for each in translations}.items())]


def spread_evenly(indices: Tensor, number: int, num_chosen: int) -> Tensor:
    """Return which indices are among `num_chosen` that are spread evenly over `range(number)`.

    Args:
        indices: int64 [batch].
        number: the number of all indices.
        num_chosen: the number of indices to choose.

    Returns:
        bool [batch].
    """
    if num_chosen >= number:
        return torch.ones_like(indices, dtype=torch.bool)
    return (indices * num_chosen).floor_divide(number) != ((indices - 1) * num_chosen).floor_divide(number)


def scores_by_length(translations: Sequence[Translation], references: Sequence[str]) -> dict[str, float]:
    """Return `exact_match_length/<bucket>`, from 0 to 1, and `loss_length/<bucket>`, nats per target token.

    Buckets count the tokens of the source.
    """
    right = exact_matches([each.text for each in translations], references)
    buckets = [length_bucket(each.num_source_tokens) for each in translations]
    scores = shares("exact_match_length", buckets, right)
    for bucket in dict.fromkeys(buckets):
        members = [each for each, name in zip(translations, buckets, strict=True) if name == bucket]
        num_tokens = sum(each.num_target_tokens for each in members)
        scores[f"loss_length/{bucket}"] = sum(each.loss for each in members) / num_tokens
    return scores


def scores_by_phenomenon(
    translations: Sequence[Translation], references: Sequence[str], tags: Mapping[str, Sequence[Any]]
) -> dict[str, float]:
    """Return `exact_match_phenomenon/<name>`, `acc_phenomenon/<name>` and `acc_distance/<words>`, from 0 to 1.

    The latter two score only the word that agrees.

    Args:
        tags: `phenomenon`, `distance` and `place` of each pair of the split; `place` is the index
            of the word of the reference that agrees.
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
