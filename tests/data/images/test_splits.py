import pytest
import torch

from rnnexp.core.errors import UserError
from rnnexp.data.images.splits import SPLITS, brightness, split_images


def test_last_images_are_validation() -> None:
    train, val = split_images(60_000, 5_000, "last", 0)
    assert train.tolist() == list(range(55_000))
    assert val.tolist() == list(range(55_000, 60_000))


@pytest.mark.parametrize("split", list(SPLITS))
def test_every_image_is_in_one_split(split: str) -> None:
    train, val = split_images(100, 30, split, 3)
    assert len(val) == 30
    assert sorted(train.tolist() + val.tolist()) == list(range(100))


def test_seeded_choice_depends_only_on_the_seed() -> None:
    first, again, other = (split_images(100, 30, "seeded", seed)[1] for seed in (3, 3, 4))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first, torch.arange(70, 100))


def test_validation_must_leave_training_images() -> None:
    with pytest.raises(UserError, match=r"data.val_size=100 leaves none of the 100 training images: choose a smaller"):
        split_images(100, 100, "last", 0)


def test_brightness_is_that_of_the_pixels() -> None:
    images = torch.randint(0, 256, (50, 4, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    pixels = images.double() / 255
    mean, std = brightness(images)
    assert mean == pytest.approx(pixels.mean().item(), abs=1e-12)
    assert std == pytest.approx(pixels.std(correction=0).item(), abs=1e-12)


def test_brightness_of_equal_pixels() -> None:
    with pytest.raises(UserError, match=r"all pixels of the training images are the same: use data.normalize=unit"):
        brightness(torch.full((5, 2, 2), 7, dtype=torch.uint8))
