"""Batches of sentence pairs of about the same length."""

from typing import Any

import pytest
import torch
from torch import Tensor

from rnnexp.core.errors import UserError
from rnnexp.data.loading.buckets import BucketOrder

NUM_PAIRS = 997
GENERATOR = torch.Generator().manual_seed(0)
SOURCE = torch.randint(2, 40, (NUM_PAIRS + 3,), generator=GENERATOR)
TARGET = (SOURCE + torch.randint(-3, 9, (NUM_PAIRS + 3,), generator=GENERATOR)).clamp(min=2)
INDICES = torch.arange(3, NUM_PAIRS + 3)  # the split has three more pairs


def make_order(indices: Tensor = INDICES, **options: Any) -> BucketOrder:
    defaults = {"batch_size": 16, "batch_unit": "sentences", "window": 10, "shuffle": True, "seed": 0}
    return BucketOrder(indices, (SOURCE, TARGET), **(defaults | options))


def batches(order: BucketOrder, epoch: int = 0) -> list[list[int]]:
    order.set_epoch(epoch)
    return [batch.tolist() for batch in order.batches()]


def pairs_of(batches: list[list[int]]) -> list[int]:
    return [pair for batch in batches for pair in batch]


@pytest.mark.parametrize("batch_unit", ["sentences", "tokens"])
@pytest.mark.parametrize("batch_size", [100, 160, 3000, 10**6])
@pytest.mark.parametrize("shuffle", [True, False])
def test_every_pair_is_in_one_batch(batch_unit: str, batch_size: int, shuffle: bool) -> None:
    order = make_order(batch_unit=batch_unit, batch_size=batch_size, shuffle=shuffle)
    for epoch in range(3):
        made = batches(order, epoch)
        assert len(made) == len(order)
        assert all(made)
        assert sorted(pairs_of(made)) == INDICES.tolist()


def test_sentences_are_counted_exactly() -> None:
    for batch_size in (1, 2, 16, 64, NUM_PAIRS - 1, NUM_PAIRS):
        order = make_order(batch_size=batch_size)
        sizes = {len(batch) for batch in batches(order)}
        assert len(order) == -(-NUM_PAIRS // batch_size)
        assert max(sizes) <= batch_size
        assert max(sizes) - min(sizes) <= 1


def test_tokens_match_the_budget_within_one_pair() -> None:
    order = make_order(batch_unit="tokens", batch_size=400)
    weights = [int((SOURCE[batch] + TARGET[batch]).sum()) for batch in order.batches()]
    total, longest = int((SOURCE + TARGET)[INDICES].sum()), int((SOURCE + TARGET)[INDICES].max())
    assert sum(weights) == total
    assert len(order) == -(-total // 400)
    assert max(weights) < 400 + longest
    assert min(weights) > total / len(order) - longest


def test_order_is_a_function_of_seed_and_epoch() -> None:
    made = {}
    for seed in (0, 1):
        for epoch in (0, 1):
            torch.manual_seed(seed * 7 + epoch)  # the global generator has no influence
            made[seed, epoch] = batches(make_order(seed=seed), epoch)
            assert batches(make_order(seed=seed), epoch) == made[seed, epoch]
    assert len({str(value) for value in made.values()}) == 4
    # The epochs differ in what is batched together, not only in which batch comes first.
    together = [{tuple(sorted(batch)) for batch in made[0, epoch]} for epoch in (0, 1)]
    assert len(together[0] & together[1]) < len(together[0]) / 10


def test_order_of_the_first_epoch_never_changes() -> None:
    # Published results name a seed, so the order of a seed must not change.
    order = BucketOrder(
        torch.arange(8),
        (torch.tensor([3, 9, 4, 7, 2, 8, 5, 6]), torch.tensor([4, 8, 4, 9, 3, 8, 6, 5])),
        batch_size=2,
        batch_unit="sentences",
        window=2,
        shuffle=True,
    )
    assert batches(order) == FIRST_BATCHES


FIRST_BATCHES = [[3, 1], [4, 2], [5, 0], [6, 7]]


@pytest.mark.parametrize("world_size", [1, 2, 3, 7])
@pytest.mark.parametrize("batch_unit", ["sentences", "tokens"])
def test_training_shards_are_exact_and_equally_long(world_size: int, batch_unit: str) -> None:
    options = {"world_size": world_size, "equal_length_ranks": True, "batch_unit": batch_unit, "batch_size": 150}
    for epoch in (0, 1):
        shards = [batches(make_order(rank=rank, **options), epoch) for rank in range(world_size)]
        assert len({len(shard) for shard in shards}) == 1
        assert all(batch for shard in shards for batch in shard)
        assert sorted(pair for shard in shards for pair in pairs_of(shard)) == INDICES.tolist()


@pytest.mark.parametrize("world_size", [1, 2, 5, 2000])
def test_evaluation_shards_hold_every_pair_once(world_size: int) -> None:
    orders = [make_order(rank=rank, world_size=world_size, shuffle=False) for rank in range(world_size)]
    shards = [batches(order) for order in orders]
    assert [len(order) for order in orders] == [len(shard) for shard in shards]
    assert sorted(pair for shard in shards for pair in pairs_of(shard)) == INDICES.tolist()


def test_without_shuffling_the_longest_come_first_and_epochs_are_equal() -> None:
    order = make_order(shuffle=False)
    longest = [int(torch.maximum(SOURCE[batch], TARGET[batch]).max()) for batch in order.batches()]
    assert longest == sorted(longest, reverse=True)
    assert longest[0] == int(torch.maximum(SOURCE, TARGET)[INDICES].max())
    assert batches(order, 0) == batches(order, 5)


def padding_by_hand(order: BucketOrder) -> float:
    num_tokens = num_places = 0
    for batch in order.batches():
        for lengths in (SOURCE[batch].tolist(), TARGET[batch].tolist()):
            num_tokens += sum(lengths)
            num_places += len(lengths) * max(lengths)
    return 1 - num_tokens / num_places


@pytest.mark.parametrize(("batch_unit", "batch_size"), [("sentences", 16), ("tokens", 600)])
def test_padding_share_is_that_of_the_batches_and_falls_with_the_window(batch_unit: str, batch_size: int) -> None:
    shares = []
    for window in (1, 10, 1000):
        order = make_order(window=window, batch_unit=batch_unit, batch_size=batch_size)
        order.set_epoch(1)
        shares.append(order.padding_share())
        assert shares[-1] == pytest.approx(padding_by_hand(order), abs=1e-12)
    assert shares[0] > 0.3
    assert shares[0] > 2 * shares[1] > 2 * shares[2]
    assert shares[2] < 0.1


def test_pairs_of_one_length_have_no_padding() -> None:
    order = BucketOrder(
        torch.arange(10),
        (torch.full((10,), 5), torch.full((10,), 7)),
        batch_size=3,
        batch_unit="sentences",
        window=1,
        shuffle=True,
    )
    assert order.padding_share() == 0


def test_bad_batches_are_refused() -> None:
    with pytest.raises(
        UserError, match=r"data.batch_size=20 tokens is less than a sentence pair of \d\d: choose a larger one"
    ):
        make_order(batch_unit="tokens", batch_size=20)
    with pytest.raises(UserError, match="3 training pairs are too few for 4 processes: use fewer devices"):
        make_order(INDICES[:3], world_size=4, equal_length_ranks=True)
    with pytest.raises(ValueError, match=r"unknown data\.batch_unit 'words': choose one of sentences, tokens"):
        make_order(batch_unit="words")
    for name in ("batch_size", "window"):
        with pytest.raises(ValueError, match=f"{name} must be a whole number of at least 1, not 0"):
            make_order(**{name: 0})


def test_samples_may_have_one_sequence() -> None:
    order = BucketOrder(INDICES, (SOURCE,), batch_size=160, batch_unit="tokens", window=1000, shuffle=True)
    made = batches(order)
    assert sorted(pairs_of(made)) == INDICES.tolist()
    assert len(made) == -(-int(SOURCE[INDICES].sum()) // 160)
    assert order.padding_share() < 0.02


def test_each_rank_has_a_batch() -> None:
    """A rank without a batch would wait for the others forever."""
    orders = [make_order(INDICES[:5], batch_size=100, world_size=4, rank=rank, shuffle=False) for rank in range(4)]
    made = [batches(order) for order in orders]
    assert all(len(one) >= 1 for one in made)
    assert sorted(pair for one in made for pair in pairs_of(one)) == sorted(INDICES[:5].tolist())
