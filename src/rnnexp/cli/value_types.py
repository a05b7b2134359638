"""The check of a config's values by the types in the JSON schema of conf/, and by the ranges of the keys.

It comes before anything is written or started.
"""

from collections.abc import Mapping
from typing import Any

from rnnexp.cli.conf_dir import schema_of
from rnnexp.cli.value_ranges import RANGES, Range
from rnnexp.core.errors import UserError
from rnnexp.tracking.config_file import walk

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


def require_values(config: Mapping[str, Any]) -> None:
    """Raise UserError for a value of another type than the schema of its key has, or outside the range of its key.

    Null is accepted everywhere but in `_target_`, and so is any value of a node with a class of the user.

    Args:
        config: the resolved config of a run as plain values.
    """
    for place, key, value in walk(config):
        if key == "_target_" and not isinstance(value, str):
            full = f"{place}.{key}".removeprefix(".")
            raise UserError(f"{full} must be the name of a class or a function, not {value!r}")
    _check(config, schema_of("train"), "")


def _check(node: Mapping[str, Any], schema: Mapping[str, Any], prefix: str) -> None:
    if not str(node.get("_target_", "rnnexp.")).startswith(OWN_PACKAGES):
        return
    properties = schema.get("properties", {})
    for name, value in node.items():
        described, key = properties.get(name, {}), f"{prefix}{name}"
        if isinstance(value, Mapping) and "properties" in described:
            _check(value, described, f"{key}.")
        elif value is not None and (kinds := _kinds(described)) and not _is_one_of(value, kinds):
            expected = " or ".join(NAMES[kind] for kind in kinds if kind in NAMES)
            raise UserError(f"{key} must be {expected}, not {value!r}")
        elif key in RANGES:
            _require_in_range(key, value, RANGES[key])


def _require_in_range(key: str, value: object, allowed: Range) -> None:
    items: list[object] = value if isinstance(value, list) else [value]
    for item in items:
        if isinstance(item, int | float) and not isinstance(item, bool) and not allowed.contains(item):
            raise UserError(f"{key} must be {allowed.words}, not {item!r}")


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
