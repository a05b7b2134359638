"""The location of the configs: beside src/ in a checkout, inside the package in a wheel."""

import functools
import json
from pathlib import Path
from typing import Any

import rnnexp

SHARED_OPTION = "base"
"""The option that the others of a group extend; users do not choose it."""


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


def shared_options() -> set[str]:
    """Return `group/option` of each option that users do not choose."""
    root = config_root()
    return {str(file.relative_to(root).with_suffix("")) for file in root.glob(f"*/{SHARED_OPTION}.yaml")}


@functools.cache
def schema_of(program: str) -> dict[str, Any]:
    """Return the JSON schema of the config of a program."""
    file = config_root() / f"{program}.schema.json"
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content
