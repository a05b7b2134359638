"""The four files of an MNIST-like dataset: their names, their directories, and checks of their content.

The module imports neither torch nor Lightning, since the report uses it too.
"""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnnexp.core.errors import UserError
from rnnexp.data.files.compressed import BadFileError, Content, read_content
from rnnexp.data.images.idx import parse_idx

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
        content = read_content(path)
        sha256 = check_content(name, file, content, str(path))
        return parse_idx(content, str(path), NUM_DIMENSIONS[file]), sha256
    except BadFileError as error:
        own = "; for a dataset of your own choose another data.name" if name in OFFICIAL_SHA256 else ""
        raise UserError(f"{error}: replace it, or delete it to have it fetched again{own}") from error
