"""Small datasets in the published format, with the number of each image in its first pixel."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from torch import Tensor

from rnnexp.data.images.files import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from rnnexp.data.images.idx import encode_idx

HEIGHT, WIDTH = 4, 3
NUM_TRAIN, NUM_TEST = 57, 11
FIRST_TEST = 200


def numbered_images(first: int, count: int) -> np.ndarray:
    images = np.random.default_rng(first).integers(0, 256, (count, HEIGHT, WIDTH), dtype=np.uint8)
    images[:, 0, 0] = np.arange(first, first + count)
    return images


@pytest.fixture
def contents() -> dict[str, bytes]:
    """Return the four files of a dataset: training images are numbered from 0 and test images from 200."""
    arrays = {
        TRAIN_IMAGES: numbered_images(0, NUM_TRAIN),
        TRAIN_LABELS: np.arange(NUM_TRAIN, dtype=np.uint8) % 7,
        TEST_IMAGES: numbered_images(FIRST_TEST, NUM_TEST),
        TEST_LABELS: np.arange(NUM_TEST, dtype=np.uint8) % 7,
    }
    return {file: encode_idx(array) for file, array in arrays.items()}


@pytest.fixture
def root(tmp_path: Path, contents: dict[str, bytes]) -> Path:
    """A data root that holds the dataset `Tiny`."""
    directory = tmp_path / "root" / "Tiny" / "raw"
    directory.mkdir(parents=True)
    for file, content in contents.items():
        (directory / file).write_bytes(content)
    return tmp_path / "root"


@pytest.fixture
def make_data(root: Path) -> Callable[..., Any]:
    """A function that makes the data module of `Tiny` without setup; nothing is fetched unless sources are given."""
    from rnnexp.data.images.mnist import MNISTDataModule

    defaults = {
        "root": str(root),
        "name": "Tiny",
        "view": "rows",
        "permutation": None,
        "normalize": "unit",
        "batch_size": 8,
        "eval_batch_size": 4,
        "drop_last": False,
        "val_size": 12,
        "split": "last",
        "split_seed": 0,
        "seed": 0,
        "device": "auto",
        "download_from": [],
        "mirrors": None,
    }
    return lambda **changes: MNISTDataModule(**(defaults | changes))


@pytest.fixture
def numbers() -> Callable[[Tensor], list[int]]:
    """Return the numbers of the images in a batch of inputs with unit normalization and without permutation."""
    return lambda inputs: (inputs[:, 0, 0] * 255).round().int().tolist()
