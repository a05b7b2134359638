"""MNIST, and any other dataset of images in its IDX format, read as sequences."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from rnnexp.core.errors import UserError
from rnnexp.core.types import Primitive
from rnnexp.core.validation import expand_home, require_positive, validate_choice
from rnnexp.data.base import DataModule
from rnnexp.data.batches import LabeledSequences
from rnnexp.data.images.encoding import scale_and_shift, validated
from rnnexp.data.images.fetch import SOURCES, fetch_files
from rnnexp.data.images.files import (
    TEST_IMAGES,
    TEST_LABELS,
    TRAIN_IMAGES,
    TRAIN_LABELS,
    LabeledImages,
    find_classes,
    read_labeled_images,
)
from rnnexp.data.images.loader import TensorLoader
from rnnexp.data.images.splits import SPLITS, brightness, split_images
from rnnexp.data.images.views import VIEWS, as_sequences, make_permutation
from rnnexp.data.loading.order import EpochOrder

NORMALIZATIONS = ("standard", "unit")
DEVICES = ("auto", "cpu", "cuda")


class MNISTDataModule(DataModule):
    """Training, validation and test images of an MNIST-like dataset as `LabeledSequences`.

    The published test images are the test set. Validation images are taken from the published training images and are
    not used for training.

    Args:
        root: the directory below which files are found and stored, see `fetch_files`.
        name: the name of the dataset: MNIST, whose files must be the official ones, or another directory below root.
        view: an image of [height, width] as `rows`, [time=height, features=width], or `pixels`, [height * width, 1].
        permutation: a fixed permutation of the pixels, see `make_permutation`; None for none.
        normalize: `standard` subtracts the mean of all pixels of the training split and divides by their standard
            deviation, `unit` divides bytes by 255.
        batch_size, eval_batch_size: samples per batch and rank in training, and in validation and test.
        drop_last: leave out the last training batch of an epoch if it is smaller than the others.
        val_size: number of validation images, or their share below 1; with 0, training uses all images and there is no
            validation.
        split: `last` takes the last `val_size` published training images for validation, `seeded` a random choice.
        split_seed: the seed of that choice.
        seed: the seed of the order of training samples.
        device: the device that holds the images: `auto` is the GPU if training runs on one with enough memory.
        download_from: the sources of missing files, see `fetch_files`.
        mirrors: addresses to fetch from instead of the public ones.
        timeout_seconds: how long to wait for a mirror to connect or to send data.

    Raises:
        ValueError: for a choice outside its list, or a size that is not positive.
    """

    batch_type: ClassVar = LabeledSequences

    def __init__(
        self,
        *,
        root: str,
        name: str,
        view: str,
        permutation: str | None,
        normalize: str,
        batch_size: int,
        eval_batch_size: int,
        drop_last: bool,
        val_size: float,
        split: str,
        split_seed: int,
        seed: int,
        device: str,
        download_from: Sequence[str],
        mirrors: Sequence[str] | None,
        timeout_seconds: float = 8.0,
    ) -> None:
        super().__init__()
        validate_choice("view", view, VIEWS)
        validate_choice("split", split, SPLITS)
        validate_choice("normalize", normalize, NORMALIZATIONS)
        validate_choice("device", device, DEVICES)
        for source in download_from:
            validate_choice("source", source, SOURCES)
        if permutation is not None:
            make_permutation(permutation, num_pixels=1)
        require_positive(batch_size=batch_size, eval_batch_size=eval_batch_size)
        if type(val_size) not in (int, float) or not (val_size >= 0 and (type(val_size) is int or val_size < 1)):
            raise ValueError(f"val_size must be a whole number of at least 0 or a share below 1, not {val_size!r}")
        self.root = expand_home(root)
        self.dataset_name = name
        self.view = view
        self.permutation = permutation
        self.normalize = normalize
        self.batch_size = batch_size
        self.eval_batch_size = eval_batch_size
        self.drop_last = drop_last
        self.val_size = val_size
        self.split = split
        self.split_seed = split_seed
        self.seed = seed
        self.device = device
        self.download_from = tuple(download_from)
        self.mirrors = mirrors
        self.timeout_seconds = timeout_seconds
        self._preprocessing: dict[str, Any] | None = None
        self._is_set_up = False

    def use_preprocessing_of(self, checkpoint: Mapping[str, Any]) -> None:
        """Use the normalization and the classes that the weights of a checkpoint were trained with.

        It is called before `setup`, which raises UserError if the data have other classes.
        """
        self._preprocessing = validated(checkpoint[type(self).__qualname__])

    def prepare_data(self) -> None:
        """Fetch the files if they are missing.

        Raises:
            UserError: if they cannot be fetched, with instructions.
        """
        self._files = fetch_files(self.root, self.dataset_name, self.download_from, self.mirrors, self.timeout_seconds)

    @staticmethod
    def evaluation_overrides(changed: Collection[str]) -> dict[str, Any]:
        # Only the test images of another set are scored: it may be too small for the run's validation split.
        return {"val_size": 0} if {"root", "name"} & set(changed) else {}

    def setup(self, stage: str | None = None) -> None:  # noqa: ARG002 (all splits are read at once)
        """Read the files, once, and put the images on the device. A trainer is not needed.

        Raises:
            UserError: if a file is truncated, corrupt or not the official one, or the sizes do not fit.
        """
        if not self._is_set_up:
            self.prepare_data()
            self._read()
            self._is_set_up = True
        self._place(self._choose_device())

    @property
    def seq_len(self) -> int:
        """Steps per sequence."""
        return self._train_sequences.shape[1]

    @property
    def input_size(self) -> int:
        """Features per step."""
        return self._train_sequences.shape[2]

    @property
    def data_info(self) -> dict[str, Primitive]:
        """The description of the data for the record of a run: a flat mapping to primitives."""
        return {
            "name": self.dataset_name,
            "view": self.view,
            "permutation": self.permutation,
            "seq_len": self.seq_len,
            "input_size": self.input_size,
            "num_classes": self.num_classes,
            "classes": None if self.classes == list(range(self.num_classes)) else ", ".join(map(str, self.classes)),
            "normalize": self.normalize,
            "mean": self.mean,
            "std": self.std,
            "split": self.split,
            "split_seed": self.split_seed if self.split == "seeded" else None,
            "num_train": len(self._train_indices),
            "num_val": len(self._val_indices),
            "num_test": len(self._test_sequences),
            "test_digest": self._test_digest,
        } | {f"sha256/{file}": sha256 for file, sha256 in self._sha256.items()}

    @property
    def summary(self) -> str:
        """The data in one line, for the log."""
        return (
            f"{self.dataset_name} as {self.view}, {self.seq_len} steps of {self.input_size}: "
            f"{len(self._train_indices):,} training, {len(self._val_indices):,} validation, "
            f"{len(self._test_sequences):,} test"
        )

    def state_dict(self) -> dict[str, Any]:
        """Return the normalization and the label of each class, which weights depend on, for checkpoints."""
        return {"mean": self.mean, "std": self.std, "classes": self.classes}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Use the normalization that weights were trained with."""
        state = validated(state_dict)
        self.mean, self.std = state["mean"], state["std"]

    @property
    def num_classes(self) -> int:
        """The number of classes."""
        return len(self.classes)

    def train_dataloader(self) -> TensorLoader:
        """Return batches of the training split, in a new order each epoch and the same number on each rank.

        Raises:
            UserError: if a batch is larger than the part of a rank.
        """
        order = self.training_order(self._train_indices, batch_size=self.batch_size, seed=self.seed, noun="images")
        return self._loader(self._train_sequences, self._train_labels, order, self.batch_size, self.drop_last)

    def val_dataloader(self) -> TensorLoader | list[TensorLoader]:
        """Return batches of the validation split, every sample once over all ranks; an empty list without one."""
        if not len(self._val_indices):
            return []
        return self._eval_loader("val", self._train_sequences, self._train_labels, self._val_indices)

    def test_dataloader(self) -> TensorLoader:
        """Return batches of the published test images, every sample once over all ranks."""
        indices = torch.arange(len(self._test_sequences))
        return self._eval_loader("test", self._test_sequences, self._test_labels, indices)

    def _read(self) -> None:
        train = read_labeled_images(self._files, self.dataset_name, TRAIN_IMAGES, TRAIN_LABELS)
        test = read_labeled_images(self._files, self.dataset_name, TEST_IMAGES, TEST_LABELS)
        if train.images.shape[1:] != test.images.shape[1:]:
            raise UserError(
                f"{self._files[TRAIN_IMAGES]} has images of {train.images.shape[1:]}, but {self._files[TEST_IMAGES]} "
                f"of {test.images.shape[1:]}: replace them by files that belong together"
            )
        self.test_images = test.images  # as published, for figures
        self._sha256 = {**train.sha256, **test.sha256}
        self._test_digest = test.digest
        self._train_indices, self._val_indices = split_images(
            len(train.images), self.val_size, self.split, self.split_seed
        )
        if self.normalize == "standard":
            self.mean, self.std = brightness(torch.from_numpy(train.images).index_select(0, self._train_indices))
        else:
            self.mean, self.std = 0.0, 1.0
        self.classes = find_classes(self.dataset_name, train.labels, test.labels)
        if self._preprocessing is not None:
            if unknown := set(self.classes) - set(self._preprocessing["classes"]):
                raise UserError(
                    f"the weights know {len(self._preprocessing['classes'])} classes, and not "
                    f"{', '.join(map(str, sorted(unknown)))} of {self.dataset_name}"
                )
            self.classes = list(self._preprocessing["classes"])
            self.load_state_dict(self._preprocessing)
        self._train_sequences, self._train_labels = self._as_sequences(train)
        self._test_sequences, self._test_labels = self._as_sequences(test)

    def _as_sequences(self, part: LabeledImages) -> tuple[Tensor, Tensor]:
        sequences = as_sequences(torch.from_numpy(part.images), self.view, self.permutation)
        return sequences, torch.from_numpy(np.searchsorted(self.classes, part.labels))

    def _choose_device(self) -> torch.device:
        training_device = torch.device("cpu") if self.trainer is None else self.trainer.strategy.root_device
        if self.device == "cpu" or (self.device == "auto" and training_device.type != "cuda"):
            return torch.device("cpu")
        if not torch.cuda.is_available():
            raise UserError("data.device=cuda, but PyTorch sees no CUDA device here: use data.device=auto or cpu")
        cuda = training_device if training_device.type == "cuda" else torch.device("cuda", torch.cuda.current_device())
        if self.device == "auto" and self._train_sequences.device != cuda:
            num_bytes = self._train_sequences.nbytes + self._test_sequences.nbytes
            free_bytes, _ = torch.cuda.mem_get_info(cuda)
            if num_bytes > free_bytes // 4:  # training needs most of the memory
                return torch.device("cpu")
        return cuda

    def _place(self, device: torch.device) -> None:
        self._train_sequences, self._train_labels = self._train_sequences.to(device), self._train_labels.to(device)
        self._test_sequences, self._test_labels = self._test_sequences.to(device), self._test_labels.to(device)

    def _eval_loader(self, split: str, sequences: Tensor, labels: Tensor, indices: Tensor) -> TensorLoader:
        rank, world_size = self.rank_and_world_size(split, len(indices))
        order = EpochOrder(indices, shuffle=False, rank=rank, world_size=world_size)
        return self._loader(sequences, labels, order, self.eval_batch_size, drop_last=False)

    def _loader(
        self, sequences: Tensor, labels: Tensor, order: EpochOrder, batch_size: int, drop_last: bool
    ) -> TensorLoader:
        scale, shift = scale_and_shift(self.mean, self.std)
        return TensorLoader(
            sequences, labels, order, batch_size=batch_size, scale=scale, shift=shift, drop_last=drop_last
        )
