"""Batches of images, and their continuation in the middle of an epoch."""

import pytest
import torch

from rnnexp.core.errors import UserError
from rnnexp.data.batches import LabeledSequences
from rnnexp.data.images.loader import TensorLoader
from rnnexp.data.loading.order import EpochOrder

INDICES = torch.arange(100, 153)  # a prime number of samples
SEQUENCES = torch.arange(200, dtype=torch.uint8).reshape(200, 1, 1).expand(200, 3, 2).contiguous()
LABELS = torch.arange(200)


def make_loader(batch_size: int = 8, drop_last: bool = False, **order: int | bool) -> TensorLoader:
    epoch_order = EpochOrder(INDICES, **({"shuffle": True} | order))
    return TensorLoader(
        SEQUENCES, LABELS, epoch_order, batch_size=batch_size, scale=2.0, shift=-1.0, drop_last=drop_last
    )


def samples(loader: TensorLoader) -> list[list[int]]:
    return [batch.labels.tolist() for batch in loader]


def test_batches_are_gathered_and_normalized() -> None:
    loader = make_loader()
    batches = list(loader)
    assert len(batches) == len(loader) == 7
    for inputs, labels, lengths in batches:
        assert lengths is None
        assert inputs.dtype == torch.float32
        assert inputs.shape == (len(labels), 3, 2)
        assert labels.dtype == torch.int64
        assert torch.equal(inputs, (labels.float() * 2 - 1)[:, None, None].expand_as(inputs))
    assert isinstance(batches[0], LabeledSequences)


def test_a_batch_is_a_copy() -> None:
    before = SEQUENCES.clone()
    next(iter(make_loader())).inputs.zero_()
    assert torch.equal(SEQUENCES, before)


def test_last_short_batch_is_kept_unless_dropped() -> None:
    assert [len(batch) for batch in samples(make_loader())] == [8] * 6 + [5]
    loader = make_loader(drop_last=True)
    assert [len(batch) for batch in samples(loader)] == [8] * 6
    assert len(loader) == 6


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 7])
@pytest.mark.parametrize("shuffle", [True, False])
def test_training_shards_are_equal_and_disjoint(world_size: int, shuffle: bool) -> None:
    shards = [
        [
            sample
            for batch in samples(
                make_loader(rank=rank, world_size=world_size, equal_length_ranks=True, shuffle=shuffle)
            )
            for sample in batch
        ]
        for rank in range(world_size)
    ]
    assert {len(shard) for shard in shards} == {53 // world_size}
    seen = [sample for shard in shards for sample in shard]
    assert len(set(seen)) == len(seen) == 53 - 53 % world_size


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 60])
def test_evaluation_shards_hold_every_sample_once(world_size: int) -> None:
    loaders = [make_loader(rank=rank, world_size=world_size, shuffle=False) for rank in range(world_size)]
    batches = [samples(loader) for loader in loaders]
    assert [len(loader) for loader in loaders] == [len(shard) for shard in batches]
    assert sorted(sample for shard in batches for batch in shard for sample in batch) == INDICES.tolist()


def epochs(loader: TensorLoader, *numbers: int) -> list[list[list[int]]]:
    result = []
    for epoch in numbers:
        loader.set_epoch(epoch)
        result.append(samples(loader))
    return result


@pytest.mark.parametrize("stop", range(1, 8))
@pytest.mark.parametrize("epoch", [0, 2])
def test_state_continues_in_the_middle_of_an_epoch(stop: int, epoch: int) -> None:
    expected = epochs(make_loader(), epoch, epoch + 1)
    first = make_loader()
    first.set_epoch(epoch)
    iterator = iter(first)
    seen = [next(iterator).labels.tolist() for _ in range(stop)]
    state = first.state_dict()
    assert state["epoch"] == epoch
    assert state["batch"] == stop
    assert all(type(value) is int for value in state.values())

    second = make_loader()
    second.load_state_dict(state)
    assert second.state_dict() == state
    assert len(second) == 7  # the length of a whole epoch, not of the rest
    rest = samples(second)
    if stop < 7:
        assert seen + rest == expected[0]
        second.set_epoch(epoch + 1)
        rest = samples(second)
    assert rest == expected[1]
    assert second.state_dict() == {**state, "epoch": epoch + 1, "batch": 7}


def test_setting_another_epoch_gives_a_whole_epoch() -> None:
    loader = make_loader()
    loader.load_state_dict({**loader.state_dict(), "epoch": 1, "batch": 3})
    loader.set_epoch(2)
    assert samples(loader) == epochs(make_loader(), 2)[0]


def test_state_between_two_epochs_is_that_of_the_first() -> None:
    loader = make_loader()
    samples(loader)
    loader.set_epoch(1)
    state = loader.state_dict()
    assert (state["epoch"], state["batch"]) == (0, 7)


def test_the_batches_are_chosen_at_the_first_request() -> None:
    loader = make_loader()
    loader.load_state_dict({**loader.state_dict(), "epoch": 1, "batch": 3})
    discarded, iterator = iter(loader), iter(loader)
    loader.set_epoch(1)
    assert [batch.labels.tolist() for batch in iterator] == epochs(make_loader(), 1)[0][3:]
    del discarded


@pytest.mark.parametrize(
    "change", [{"batch_size": 4}, {"seed": 1}, {"world_size": 2, "rank": 0}], ids=lambda change: next(iter(change))
)
def test_an_epoch_cannot_be_continued_in_another_order(change: dict[str, int]) -> None:
    saved = {**make_loader().state_dict(), "epoch": 0, "batch": 2}
    name = next(iter(change))
    loader = make_loader(**change)
    loader.load_state_dict(saved)
    now = change[name]
    with pytest.raises(
        UserError, match=f"middle of an epoch with {name}={saved[name]}, now it is {now}: continue with"
    ):
        next(iter(loader))
    loader.load_state_dict(saved)
    loader.set_epoch(1)
    assert len(samples(loader)) == len(loader)


def test_batch_size_must_be_positive() -> None:
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1, not 0"):
        make_loader(batch_size=0)
