"""The location of the configs: beside src/ in a checkout, inside the package in a wheel."""

from pathlib import Path

import rnnexp


def config_root() -> Path:
    """Return the directory with train.yaml and the config groups.

    Raises:
        FileNotFoundError: if neither place has it.
    """
    package = Path(rnnexp.__file__).resolve().parent
    places = (package / "conf", package.parents[1] / "conf")
    for place in places:
        if (place / "train.yaml").is_file():
            return place
    raise FileNotFoundError(f"rnnexp is not installed completely: no train.yaml in {places[0]}, nor in {places[1]}")
