"""The images on which a run was tested."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from rnnexp.core.errors import UserError
from rnnexp.data.files.find_or_fetch import find_file
from rnnexp.data.images.files import TEST_IMAGES, candidate_directories, read_array, spellings
from rnnexp.report.records.runs import Run

DIGEST = f"data.sha256/{TEST_IMAGES}"
"""The path of the images' digest in result.json."""


def images_of(run: Run) -> NDArray[np.uint8] | None:
    """Return the test images of a run, uint8 [samples, height, width]; None if they cannot be found.

    They are searched below the data root of the run's config, and identified by their SHA-256 digest.
    """
    data = (run.config or {}).get("data", {})
    root, name = Path(str(data.get("root"))), str(data.get("name"))
    try:
        directories, spell = candidate_directories(root, name), spellings(name)
        files = [file for directory in directories if (file := find_file(directory, TEST_IMAGES, spell))]
    # A path of another machine may be one that this system cannot have.
    except (OSError, ValueError):
        return None
    for file in files:
        try:
            images, digest = read_array(file, name, TEST_IMAGES)
        except (UserError, OSError):
            continue
        if digest == run.text(DIGEST):
            return images
    return None
