"""The four files of an MNIST-like dataset: their names, their directories, and checks of their content.

The module imports neither torch nor Lightning, since the report uses it too.
"""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnnexp.core.errors import UserError
from rnnexp.data.files.compressed import (
    BadFileError,
    Content,
    memory_bound,
    other_format,
    read_chunks,
    read_content,
    read_head,
    require_bound,
)
from rnnexp.data.files.find_or_fetch import Spellings
from rnnexp.data.images.idx import parse_idx, size_of_idx

log = logging.getLogger(__name__)

TRAIN_IMAGES = "train-images-idx3-ubyte"
TRAIN_LABELS = "train-labels-idx1-ubyte"
TEST_IMAGES = "t10k-images-idx3-ubyte"
TEST_LABELS = "t10k-labels-idx1-ubyte"
NUM_DIMENSIONS = {TRAIN_IMAGES: 3, TRAIN_LABELS: 1, TEST_IMAGES: 3, TEST_LABELS: 1}
FILES = tuple(NUM_DIMENSIONS)

OFFICIAL_SHA256: Mapping[str, Mapping[str, str]] = {
    "MNIST": {
        TRAIN_IMAGES: "ba891046e6505d7aadcbbe25680a0738ad16aec93bde7f9b65e87a2fc25776db",
        TRAIN_LABELS: "65a50cbbf4e906d70832878ad85ccda5333a97f0f4c3dd2ef09a8a9eef7101c5",
        TEST_IMAGES: "0fa7898d509279e482958e8ce81c8e77db3f2f8254e26661ceb7762c4d494ce7",
        TEST_LABELS: "ff7bcfd416de33731a308c3f266cc351222c34898ecbeaf847f06e48f7ec33f2",
    }
}
"""SHA-256 of the uncompressed files of each dataset that must be the official one."""


@dataclass(frozen=True)
class LabeledImages:
    """One of the two published parts of a dataset, training or test."""

    images: NDArray[np.uint8]
    """uint8 [samples, height, width]"""
    labels: NDArray[np.uint8]
    """uint8 [samples]"""
    sha256: Mapping[str, str]
    """The SHA-256 of each of the two uncompressed files, by file name."""

    @property
    def digest(self) -> str:
        """SHA-256 over the digests of the images and the labels."""
        return hashlib.sha256(" ".join(self.sha256.values()).encode()).hexdigest()


def candidate_directories(root: Path, name: str) -> list[Path]:
    """Return the directories to search for the four files, in order.

    Fetched files are stored in the first, which is torchvision's layout, so that its datasets find them too.
    """
    return [root / name / "raw", root / name, root]


def spellings(name: str) -> Spellings:
    """Return the function that returns the names that one of the four files of a dataset may have.

    Some copies have a dot in place of the hyphen, `train-images.idx3-ubyte`; the files of EMNIST have the name of the
    dataset before them, and `test` in place of `t10k`: `emnist-letters-test-images-idx3-ubyte`.
    """

    def spell(file: str) -> list[str]:
        stems = [file, *(f"{name}-{stem}" for stem in (file, file.replace("t10k", "test")))]
        return [spelled for stem in stems for spelled in (stem, stem.replace("-idx", ".idx"))]

    return spell


def check_content(name: str, file: str, content: Content, where: str) -> str:
    """Return the SHA-256 of the content of one of the four files, after checking the content.

    Raises:
        BadFileError: naming `where`, if it is not a valid IDX file, or not the official one of a dataset in
            OFFICIAL_SHA256.
    """
    parse_idx(content, where, NUM_DIMENSIONS[file])
    digest = hashlib.sha256(content).hexdigest()
    official = OFFICIAL_SHA256.get(name, {}).get(file, digest)
    if digest != official:
        raise BadFileError(f"{where}: not the official {name} file (SHA-256 {digest[:12]}..., not {official[:12]}...)")
    return digest


def read_labeled_images(files: Mapping[str, Path], name: str, images_file: str, labels_file: str) -> LabeledImages:
    """Read and check the images and labels of one part.

    Raises:
        UserError: if a file is truncated, corrupt or not the official one, or the two have different lengths.
    """
    images, images_sha256 = read_array(files[images_file], name, images_file)
    labels, labels_sha256 = read_array(files[labels_file], name, labels_file)
    if len(images) != len(labels):
        raise UserError(
            f"{files[images_file]} holds {len(images):,} images, but {files[labels_file]} {len(labels):,} labels: "
            "replace the two by a pair that belongs together"
        )
    return LabeledImages(images, labels, {images_file: images_sha256, labels_file: labels_sha256})


def read_array(path: Path, name: str, file: str) -> tuple[NDArray[np.uint8], str]:
    """Read and check one of the four files.

    Returns:
        The array, and the SHA-256 of the uncompressed content.

    Raises:
        UserError: if the file is truncated, corrupt or not the official one.
    """
    try:
        content = _read_idx(path, NUM_DIMENSIONS[file])
        sha256 = check_content(name, file, content, str(path))
        return parse_idx(content, str(path), NUM_DIMENSIONS[file]), sha256
    except BadFileError as error:
        own = "; for a dataset of your own choose another data.name" if name in OFFICIAL_SHA256 else ""
        raise UserError(f"{error}: replace it, or delete it to have it fetched again{own}") from error


def _read_idx(path: Path, num_dimensions: int) -> memoryview:
    """Return the content of an IDX file, of which no more is read than its header says."""
    if other := other_format(read_head(path)):
        raise BadFileError(f"{path}: is {other}, not an IDX file")
    expected = size_of_idx(next(read_chunks(path), b""), str(path), num_dimensions)
    require_bound(expected, memory_bound(), f"{path}: its header")
    return read_content(path, expected, "that its header says")


def find_classes(name: str, train: NDArray[np.uint8], test: NDArray[np.uint8]) -> list[int]:
    """Return the labels that occur, ascending.

    Args:
        name: the name of the dataset, for messages.
        train, test: the labels of the two parts.

    Raises:
        UserError: if all training labels are the same.
    """
    in_training, in_test = (set(np.unique(labels).tolist()) for labels in (train, test))
    if len(in_training) == 1:
        raise UserError(f"all training labels of {name!r} are {in_training.pop()}: a classifier needs at least two")
    if unseen := in_test - in_training:
        log.warning("%s: labels %s are in the test set only", name, ", ".join(map(str, sorted(unseen))))
    return sorted(in_training | in_test)
