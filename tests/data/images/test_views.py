import numpy as np
import pytest
import torch

from rnnexp.data.images.views import PERMUTATIONS, VIEWS, as_sequences, bit_reversal_permutation, make_permutation


def test_rows_and_pixels_keep_the_order_of_the_pixels() -> None:
    images = torch.arange(24, dtype=torch.uint8).reshape(2, 4, 3)
    assert list(VIEWS) == ["rows", "pixels"]
    assert torch.equal(as_sequences(images, "rows", None), images)
    assert torch.equal(as_sequences(images, "pixels", None), images.reshape(2, 12, 1))


def test_mnist_shapes() -> None:
    images = torch.zeros(1, 28, 28, dtype=torch.uint8)
    assert as_sequences(images, "rows", None).shape == (1, 28, 28)
    assert as_sequences(images, "pixels", "bitreversal").shape == (1, 784, 1)


@pytest.mark.parametrize("name", [*PERMUTATIONS, "seed:5"])
@pytest.mark.parametrize("num_pixels", [1, 2, 12, 784])
def test_every_permutation_shows_each_pixel_once(name: str, num_pixels: int) -> None:
    order = make_permutation(name, num_pixels)
    assert order.dtype == torch.int64
    assert sorted(order.tolist()) == list(range(num_pixels))


def test_position_t_is_the_pixel_at_index_t_of_the_order() -> None:
    images = torch.arange(24, dtype=torch.uint8).reshape(2, 4, 3)
    order = make_permutation("seed:5", 12)
    sequences = as_sequences(images, "pixels", "seed:5")
    for step in range(12):
        assert sequences[1, step, 0] == images[1].flatten()[order[step]]


def test_random92916_is_the_published_order() -> None:
    assert make_permutation("random92916", 784).tolist() == np.random.RandomState(92916).permutation(784).tolist()
    assert torch.equal(make_permutation("random92916", 784), make_permutation("seed:92916", 784))


def test_bit_reversal_by_the_digits() -> None:
    assert bit_reversal_permutation(8).tolist() == [0b000, 0b100, 0b010, 0b110, 0b001, 0b101, 0b011, 0b111]
    reversed_positions = [int(f"{position:010b}"[::-1], 2) for position in range(1024)]
    assert bit_reversal_permutation(784).tolist() == [pixel for pixel in reversed_positions if pixel < 784]


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("bitreverse", "unknown permutation 'bitreverse': choose one of .*seed:N; did you mean 'bitreversal'?"),
        ("random", "unknown permutation 'random': choose one of random92916, bitreversal, seed:N; did you mean"),
        ("seed:N", "permutation 'seed:N': N in seed:N must be a whole number from 0 to 4294967295"),
        ("seed:-1", "permutation 'seed:-1': N in seed:N"),
        ("seed:4294967296", "permutation 'seed:4294967296': N in seed:N"),
        ("seed", "permutation 'seed': N in seed:N"),
    ],
)
def test_unknown_permutation(name: str, message: str) -> None:
    with pytest.raises(ValueError, match=message.replace("?", r"\?")):
        make_permutation(name, 784)


def test_unknown_view() -> None:
    with pytest.raises(ValueError, match=r"unknown view 'row': choose one of rows, pixels; did you mean 'rows'"):
        as_sequences(torch.zeros(1, 2, 2, dtype=torch.uint8), "row", None)
