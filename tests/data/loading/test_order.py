"""The order of the samples of an epoch."""

import torch

from rnnexp.data.loading.order import EpochOrder, epoch_generator

INDICES = torch.arange(100, 153)  # a prime number of samples


def test_random_numbers_depend_on_seed_and_epoch_alone() -> None:
    drawn = {
        (seed, epoch): torch.rand(1, generator=epoch_generator(seed, epoch)).item()
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert len(set(drawn.values())) == 4
    assert torch.rand(1, generator=epoch_generator(1, 0)).item() == drawn[1, 0]


def test_order_is_a_function_of_seed_and_epoch() -> None:
    orders = {}
    for seed in (0, 1):
        for epoch in (0, 1):
            order = EpochOrder(INDICES, shuffle=True, seed=seed)
            order.set_epoch(epoch)
            torch.manual_seed(seed * 7 + epoch)  # the global generator has no influence
            orders[seed, epoch] = order.samples().tolist()
            assert order.samples().tolist() == orders[seed, epoch]
            assert sorted(orders[seed, epoch]) == INDICES.tolist()
    assert len({tuple(order) for order in orders.values()}) == 4


def test_order_of_the_first_epoch_never_changes() -> None:
    # Published results name a seed, so the order of a seed must not change.
    assert EpochOrder(torch.arange(10), shuffle=True, seed=0).samples().tolist() == FIRST_ORDER


FIRST_ORDER = [0, 3, 9, 6, 2, 5, 1, 4, 7, 8]


def test_without_shuffling_the_order_is_that_of_the_indices() -> None:
    order = EpochOrder(INDICES, shuffle=False)
    order.set_epoch(5)
    assert torch.equal(order.samples(), INDICES)


def test_ranks_share_one_order() -> None:
    whole = EpochOrder(INDICES, shuffle=True, seed=3).samples()
    for rank in (0, 1):
        order = EpochOrder(INDICES, shuffle=True, seed=3, rank=rank, world_size=2, equal_length_ranks=True)
        assert torch.equal(order.samples(), whole[:52][rank::2])
