"""The check of a config's values by the types in the JSON schema of conf/, before anything is written or started."""

import functools
import json
from collections.abc import Mapping
from typing import Any

from rnnexp.cli.conf_dir import config_root
from rnnexp.core.errors import UserError

KINDS: dict[str, tuple[type, ...]] = {
    "boolean": (bool,),
    "integer": (int,),
    "number": (int, float),
    # A number is text of digits: Lightning's users know trainer.precision=32.
    "string": (str, int, float),
    "array": (list, tuple),
    "object": (dict,),
}
NAMES = {
    "boolean": "true or false",
    "integer": "a whole number",
    "number": "a number",
    "string": "text",
    "array": "a list",
}
OWN_PACKAGES = ("rnnexp.", "lightning.", "torch.")
"""The start of each `_target_` that the schema describes. Another class may have other types under the same names."""


def require_types(config: Mapping[str, Any], program: str = "train") -> None:
    """Raise UserError for a value of another type than the schema of its key has: `trainer.max_epochs=ten`.

    Null is accepted everywhere, and so is any value of a node with a class of the user.

    Args:
        config: the resolved config as plain values.
        program: the name of the program.
    """
    _check(config, _schema(program), "")


@functools.cache
def _schema(program: str) -> dict[str, Any]:
    file = config_root() / f"{program}.schema.json"
    content: dict[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return content


def _check(node: Mapping[str, Any], schema: Mapping[str, Any], prefix: str) -> None:
    if not str(node.get("_target_", "rnnexp.")).startswith(OWN_PACKAGES):
        return
    properties = schema.get("properties", {})
    for name, value in node.items():
        described = properties.get(name, {})
        if isinstance(value, Mapping) and "properties" in described:
            _check(value, described, f"{prefix}{name}.")
        elif value is not None and (kinds := _kinds(described)) and not _is_one_of(value, kinds):
            expected = " or ".join(NAMES[kind] for kind in kinds if kind in NAMES)
            raise UserError(f"{prefix}{name} must be {expected}, not {value!r}")


def _kinds(schema: Mapping[str, Any]) -> list[str]:
    """Return the types of a value; empty if they are not known or have members of their own."""
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    # With a pattern, text is only allowed as an interpolation, and these are resolved.
    kinds = [kind for kind in kinds if kind != "null" and (kind != "string" or "pattern" not in schema)]
    return [] if "object" in kinds else kinds


def _is_one_of(value: object, kinds: list[str]) -> bool:
    if isinstance(value, bool):
        return "boolean" in kinds
    return any(isinstance(value, KINDS[kind]) for kind in kinds)
