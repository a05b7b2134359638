"""The division of one file of sequences into splits, at random or by groups."""

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from rnnexp.core.errors import UserError
from rnnexp.data.sequences.content import Array, Content


def divide(content: Content, sizes: Mapping[str, float], seed: int, labels: Array | None) -> dict[str, Tensor]:
    """Return the sequences of each split, int64 [samples], ascending. `train` has those that no other split takes.

    Groups are not divided: random groups are taken until a split is large enough. Without groups, and with one label
    for each sequence, each split gets about the same share of each label.

    Args:
        content: the sequences, with groups or without.
        sizes: the number of sequences of each split but `train`, or their share below 1.
        seed: the seed of the random order.
        labels: the label of each sequence [samples]; None if they have none.

    Raises:
        UserError: if a split gets no sequences.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(content))
    if content.groups is not None:
        group_order = random.permutation(len(np.unique(content.groups)))
        _, group = np.unique(content.groups, return_inverse=True)
        order = order[np.argsort(group_order[group[order]], kind="stable")]
    elif labels is not None:
        order = order[np.argsort(labels[order], kind="stable")]
    taken = {}
    for split, size in sizes.items():
        # A share of a few sequences is at least one of them.
        number = max(size > 0, round(size * len(content))) if isinstance(size, float) else size
        if content.groups is None:
            places = ((np.arange(number) + 0.5) * len(order) / max(1, number)).astype(np.int64)
        else:
            places = np.arange(_end_of_group(content.groups[order], number))
        if not number < len(order) or not len(places) < len(order):
            what = "" if content.groups is None else f" in {len(np.unique(content.groups))} groups"
            raise UserError(
                f"{content.path}: data.{split}_size={size} leaves none of its {len(content):,} sequences{what} for "
                "training: choose a smaller one"
            )
        taken[split] = order[places]
        order = np.delete(order, places)
    return {split: torch.from_numpy(np.sort(samples)) for split, samples in {"train": order, **taken}.items()}


def _end_of_group(groups: Array, number: int) -> int:
    """Return the number of sequences, at least `number`, up to the end of a group."""
    if number in (0, len(groups)):
        return number
    ends = np.append(np.flatnonzero(groups[1:] != groups[:-1]) + 1, len(groups))
    return int(ends[np.searchsorted(ends, number)]) if number <= len(groups) else number


def require_separate_groups(contents: Mapping[str, Content]) -> None:
    """Raise UserError for a group with sequences in the files of two splits."""
    splits: Sequence[str] = list(contents)
    for index, split in enumerate(splits):
        for other in splits[index + 1 :]:
            one, two = contents[split].groups, contents[other].groups
            if one is not None and two is not None and (common := sorted(set(one.tolist()) & set(two.tolist()))):
                raise UserError(
                    f"{contents[other].path}: its group {common[0]!r} also has sequences in {contents[split].path}: "
                    "move them to one file, or use data.group=null"
                )
