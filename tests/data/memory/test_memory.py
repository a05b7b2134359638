"""The sequences of memory tasks: their answers, that no two are equal, and that they depend on the seed alone."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import cross_entropy, mse_loss

from rnnexp.core.errors import UserError
from rnnexp.data.memory.adding import AddingDataModule
from rnnexp.data.memory.base import MemoryDataModule
from rnnexp.data.memory.copying import BLANK, DELIMITER, NUM_SYMBOLS, CopyingDataModule
from rnnexp.data.memory.delayed_recall import DelayedRecallDataModule
from rnnexp.data.memory.parity import ParityDataModule
from support.recording import loaders_of

MODULES: dict[str, Callable[..., MemoryDataModule]] = {
    "adding": AddingDataModule,
    "copying": CopyingDataModule,
    "delayed_recall": DelayedRecallDataModule,
    "parity": ParityDataModule,
}
SIZES = {"num_train": 200, "num_val": 30, "num_test": 40}
all_tasks = pytest.mark.parametrize("name", MODULES)


def make(name: str, **changes: Any) -> Any:
    arguments = {
        "name": name,
        "length": 12,
        **SIZES,
        "batch_size": 16,
        "eval_batch_size": 7,
        "sequence_seed": 0,
        "seed": 1,
    }
    data = MODULES[name](**(arguments | changes))
    data.setup()
    return data


def whole(loader: Any) -> tuple[Tensor, Tensor]:
    """Return the inputs and the answers of all batches."""
    batches = list(loader)
    return torch.cat([batch[0] for batch in batches]), torch.cat([batch[1] for batch in batches])


@all_tasks
def test_no_two_sequences_of_all_splits_are_equal(name: str) -> None:
    inputs = torch.cat([whole(loader)[0] for loader in loaders_of(make(name)).values()])
    assert len({row.numpy().tobytes() for row in inputs}) == len(inputs) == sum(SIZES.values())


@pytest.mark.parametrize(("name", "length"), [("parity", 10), ("delayed_recall", 4)])
def test_sequences_differ_although_a_draw_repeats_many(name: str, length: int) -> None:
    sizes = {"num_train": 400, "num_val": 50, "num_test": 50}
    inputs = torch.cat([whole(loader)[0] for loader in loaders_of(make(name, length=length, **sizes)).values()])
    assert len({row.numpy().tobytes() for row in inputs}) == len(inputs) == 500


@all_tasks
def test_sequences_depend_on_their_seed_alone(name: str) -> None:
    first, again, other = make(name), make(name, seed=2), make(name, sequence_seed=1)
    for one, same in zip(whole(first.test_dataloader()), whole(again.test_dataloader()), strict=True):
        assert torch.equal(one, same)
    assert not torch.equal(whole(first.test_dataloader())[0], whole(other.test_dataloader())[0])
    assert first.data_info["test_digest"] == again.data_info["test_digest"] != other.data_info["test_digest"]


@all_tasks
def test_the_test_set_does_not_depend_on_the_size_of_the_training_set(name: str) -> None:
    digests = {make(name, num_train=number).data_info["test_digest"] for number in (50, 200, 400)}
    assert len(digests) == 1


@all_tasks
def test_each_epoch_has_each_training_sequence_once_in_another_order(name: str) -> None:
    loader = make(name).train_dataloader()
    epochs = []
    for epoch in range(2):
        loader.set_epoch(epoch)
        epochs.append([row.numpy().tobytes() for row in whole(loader)[0]])
    assert sorted(epochs[0]) == sorted(epochs[1])
    assert epochs[0] != epochs[1]


@all_tasks
def test_an_epoch_continues_at_the_next_batch(name: str) -> None:
    expected = [batch[0] for batch in make(name).train_dataloader()]
    stopped, continued = make(name).train_dataloader(), make(name).train_dataloader()
    batches = iter(stopped)
    for _ in range(5):
        next(batches)
    continued.load_state_dict(stopped.state_dict())
    rest = [batch[0] for batch in continued]
    assert len(rest) == len(expected) - 5
    assert all(map(torch.equal, rest, expected[5:]))


@all_tasks
def test_sizes_are_those_of_the_record(name: str) -> None:
    data = make(name)
    for split, loader in loaders_of(data).items():
        inputs, _ = whole(loader)
        assert inputs.shape == (data.data_info[f"num_{split}"], data.seq_len, data.input_size)
    assert data.seq_len == data.data_info["seq_len"]


@pytest.mark.parametrize(
    ("name", "metric", "value"),
    [
        ("adding", "test/loss", 0.001),
        ("copying", "test/loss", 5 * math.log(8) / 32),
        ("delayed_recall", "test/acc", 0.99),
        ("parity", "test/acc", 0.99),
    ],
)
def test_a_task_counts_as_solved_from_this_value_on(name: str, metric: str, value: float) -> None:
    info = make(name).data_info
    assert (info["solved_metric"], info["solved_value"]) == (metric, pytest.approx(value))


@pytest.mark.parametrize("length", [5, 12])
def test_adding_sums_the_two_marked_numbers(length: int) -> None:
    inputs, targets = whole(make("adding", length=length, num_val=300).val_dataloader())
    values, marks = inputs.unbind(2)
    half = length // 2
    assert marks.unique().tolist() == [0, 1]
    assert torch.equal(marks[:, :half].sum(1), torch.ones(300))
    assert torch.equal(marks[:, half:].sum(1), torch.ones(300))
    assert marks.any(dim=0).all(), "each step is marked in some sequence"
    assert values.min() >= 0
    assert values.max() < 1
    torch.testing.assert_close((values * marks).sum(1, keepdim=True), targets)


def test_copying_repeats_the_first_symbols_after_the_delimiter() -> None:
    inputs, labels = whole(make("copying").val_dataloader())
    assert torch.equal(inputs.sum(2), torch.ones(30, 32))
    tokens = inputs.argmax(2)
    assert tokens[:, :10].max() < NUM_SYMBOLS
    assert (tokens[:, 10:21] == BLANK).all()
    assert (tokens[:, 21] == DELIMITER).all()
    assert (tokens[:, 22:] == BLANK).all()
    assert torch.equal(labels[:, -10:], tokens[:, :10])
    assert (labels[:, :-10] == BLANK).all()


def test_delayed_recall_is_the_first_symbol() -> None:
    inputs, labels = whole(make("delayed_recall").val_dataloader())
    assert torch.equal(inputs[:, 0].argmax(1), labels)


def test_parity_is_that_of_the_ones_so_far() -> None:
    inputs, labels = whole(make("parity").val_dataloader())
    for bits, parities in zip(inputs[:, :, 0].int().tolist(), labels.tolist(), strict=True):
        assert parities == [sum(bits[: step + 1]) % 2 for step in range(12)]


def test_the_loss_of_chance_is_that_of_the_best_answer_without_memory() -> None:
    sizes = {"num_test": 4000, "eval_batch_size": 4000}
    adding = make("adding", **sizes)
    _, sums = whole(adding.test_dataloader())
    assert float(mse_loss(torch.ones_like(sums), sums)) == pytest.approx(adding.chance_loss, rel=0.05)
    copying = make("copying", **sizes)
    _, labels = whole(copying.test_dataloader())
    # Certain of a blank, and all symbols equally likely where one must be repeated.
    logits = torch.full((labels.shape[1], 9), -100.0)
    logits[:-10, BLANK] = 100.0
    logits[-10:, :NUM_SYMBOLS] = 0.0
    loss = cross_entropy(logits.expand(len(labels), -1, -1).flatten(0, 1), labels.flatten())
    assert float(loss) == pytest.approx(copying.chance_loss) == 10 * math.log(8) / 32
    assert make("delayed_recall").chance_loss == math.log(8)
    assert make("parity").chance_loss == math.log(2)


def test_too_few_different_sequences_are_refused() -> None:
    with pytest.raises(UserError, match=r"parity of length 8 has 256 different sequences.*data.length"):
        make("parity", length=8)


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        *[
            ("adding", {"length": length}, "length must be a whole number from 2 to")
            for length in (1, 0, -3, 2.5, 10**30)
        ],
        ("parity", {"length": 0}, "from 1 to"),
        ("copying", {"num_test": 0}, "num_test"),
        ("copying", {"sequence_seed": -1}, "sequence_seed"),
    ],
)
def test_a_size_that_no_sequence_has_is_refused(name: str, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make(name, **changes)


def test_more_than_the_memory_is_refused() -> None:
    with pytest.raises(UserError, match=r"GB of memory, and .* GB are free: .* data.num_train"):
        make("adding", length=10**6, num_train=10**9)


def test_a_batch_larger_than_the_training_split_is_refused() -> None:
    with pytest.raises(UserError, match=r"choose data.batch_size=200 or less"):
        make("copying", batch_size=201).train_dataloader()
